python -m galspec train cnn --survey '/data/sim 1' --out '/shared/it'"'"'s home/runs/20260101-120000-hybrid-1a2b' --config '/shared/it'"'"'s home/runs/20260101-120000-hybrid-1a2b/settings.toml'
