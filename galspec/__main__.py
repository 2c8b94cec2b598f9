"""`python -m galspec`."""

import sys

from galspec.cli.main import main

sys.exit(main())
