// What the Latents page computes in the browser: decoder, distance to train galaxies, lines of noise-free spectra.
// It draws nothing. Models are kept by name for the lab, which is another component and is sent no weights.

const shared = (globalThis.galspecLatents ??= { models: new Map(), events: new EventTarget(), latent: null });

function halfToSingle(half) {
  const single = new Float32Array(half.length);
  for (let i = 0; i < half.length; i++) {
    const sign = half[i] >> 15 ? -1 : 1, exponent = (half[i] >> 10) & 31, fraction = half[i] & 1023;
    if (exponent === 0) single[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) single[i] = fraction ? NaN : sign * Infinity;
    else single[i] = sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
  }
  return single;
}

// Layout: length of the header (uint32, little endian), header (JSON), arrays, each on a multiple of four bytes.
function unpack(data) {
  const bytes = new Uint8Array(data);  // a copy begins at a multiple of four
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const arrays = {};
  for (const [name, { dtype, shape, offset }] of Object.entries(header.arrays)) {
    const size = shape.reduce((product, side) => product * side, 1), start = 4 + length + offset;
    arrays[name] = dtype === "float16" ? halfToSingle(new Uint16Array(bytes.buffer, start, size))
      : new Float32Array(bytes.buffer, start, size);
  }
  return [header, arrays];
}

// rows x columns matrix times a vector, into `out`; four sums at a time keep the processor busy.
function multiply(matrix, rows, columns, vector, out) {
  for (let row = 0, at = 0; row < rows; row++) {
    let a = 0, b = 0, c = 0, d = 0, i = 0;
    for (; i + 3 < columns; i += 4, at += 4) {
      a += matrix[at] * vector[i];
      b += matrix[at + 1] * vector[i + 1];
      c += matrix[at + 2] * vector[i + 2];
      d += matrix[at + 3] * vector[i + 3];
    }
    for (; i < columns; i++, at++) a += matrix[at] * vector[i];
    out[row] = a + b + c + d;
  }
  return out;
}

function makeDecoder({ layers, slope }, arrays) {
  const sums = layers.map(([rows]) => new Float32Array(rows));
  const input = new Float32Array(layers[0][1]);
  return (latent) => {
    let values = input;
    for (let i = 0; i < input.length; i++) values[i] = latent[i] * arrays.latent_std[i] + arrays.latent_mean[i];
    layers.forEach(([rows, columns], index) => {
      const out = multiply(arrays[`weight${index}`], rows, columns, values, sums[index]);
      const bias = arrays[`bias${index}`], isLast = index === layers.length - 1;
      for (let i = 0; i < rows; i++) {
        const sum = out[i] + bias[i];
        out[i] = isLast || sum > 0 ? sum : slope * sum;
      }
      values = out;
    });
    return Float32Array.from(values, (value, i) => value + arrays.mean_flux[i]);
  };
}

// Mean distance to the nearest reference galaxies, and the share of these that are less isolated.
function makeDensity({ n_neighbours: wanted }, { reference, percents, distances }, n) {
  const nearest = new Float64Array(wanted);
  return (latent) => {
    nearest.fill(Infinity);
    for (let at = 0; at < reference.length; at += n) {
      let squared = 0;
      for (let i = 0; i < n; i++) squared += (reference[at + i] - latent[i]) ** 2;
      if (squared >= nearest[wanted - 1]) continue;
      let place = wanted - 1;
      for (; place > 0 && nearest[place - 1] > squared; place--) nearest[place] = nearest[place - 1];
      nearest[place] = squared;
    }
    let distance = 0;
    for (const squared of nearest) distance += Math.sqrt(squared) / wanted;
    const last = distances.length - 1;
    if (distance >= distances[last]) return { distance, percentile: percents[last] };
    let above = 0;
    while (distances[above] < distance) above++;
    if (above === 0) return { distance, percentile: percents[0] };
    const share = (distance - distances[above - 1]) / (distances[above] - distances[above - 1]);
    return { distance, percentile: percents[above - 1] + share * (percents[above] - percents[above - 1]) };
  };
}

// Cumulative normal distribution; relative error of the tail below 1.2e-7 (Press et al., Numerical Recipes, erfcc).
function normal(x) {
  const z = Math.abs(x) / Math.SQRT2, t = 1 / (1 + 0.5 * z);
  const series = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807
    + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  const tail = 0.5 * t * Math.exp(-z * z + series);
  return x < 0 ? tail : 1 - tail;
}

// Solve a symmetric positive system by Cholesky; `matrix` (n x n) is overwritten.
function solve(matrix, vector) {
  const n = vector.length;
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = matrix[i * n + j];
      for (let k = 0; k < j; k++) sum -= matrix[i * n + k] * matrix[j * n + k];
      matrix[i * n + j] = i === j ? Math.sqrt(sum) : sum / matrix[j * n + j];
    }
  }
  const found = Float64Array.from(vector);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) found[i] -= matrix[i * n + k] * found[k];
    found[i] /= matrix[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) found[i] -= matrix[k * n + i] * found[k];
    found[i] /= matrix[i * n + i];
  }
  return found;
}

// galspec.measurement.model_lines.measure_models for one spectrum.
function makeMeasure(recipe, arrays) {
  const { pixels, n_terms: nTerms, loglam: [start, step], pixel_kms: pixelKms } = recipe;
  const nPixels = pixels.length, nCoefficients = arrays.operator.length / 1000;
  const [first, last] = recipe.norm;
  const window = new Float32Array(last - first + 1), scaled = new Float32Array(1000), excess = new Float32Array(1000);
  const coefficients = new Float64Array(nCoefficients);
  const continuum = new Float64Array(nPixels), residual = new Float64Array(nPixels), weight = new Float64Array(nPixels);
  const known = new Map();

  // Each line: where its profile begins among the pixels, and its values from there on.
  function profilesOf(kind, sigmaIndex) {
    const key = `${kind}${sigmaIndex}`;
    if (!known.has(key)) {
      const sigma = recipe.sigmas[sigmaIndex];
      known.set(key, recipe[kind].map((members) => {
        const values = pixels.map((pixel) => {
          const width = 10 ** (start + step * (pixel + 0.5)) - 10 ** (start + step * (pixel - 0.5));
          let sum = 0;
          for (const [wave, share] of members) {
            const centre = (Math.log10(wave) - start) / step * pixelKms;
            const low = ((pixel - 0.5) * pixelKms - centre) / sigma, high = ((pixel + 0.5) * pixelKms - centre) / sigma;
            sum += share * (normal(high) - normal(low)) / width;
          }
          return sum < 1e-9 ? 0 : sum;
        });
        const begin = values.findIndex((value) => value > 0), end = values.findLastIndex((value) => value > 0) + 1;
        return { begin, end, values: Float64Array.from(values) };
      }));
    }
    return known.get(key);
  }

  function normalMatrix(profiles, diagonal) {
    const n = profiles.length, matrix = new Float64Array(n * n), projected = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const one = profiles[i];
      for (let p = one.begin; p < one.end; p++) projected[i] += one.values[p] * weight[p] * residual[p];
      for (let j = 0; j <= i; j++) {
        const other = profiles[j], end = Math.min(one.end, other.end);
        let sum = 0;
        for (let p = Math.max(one.begin, other.begin); p < end; p++) sum += one.values[p] * other.values[p] * weight[p];
        matrix[i * n + j] = matrix[j * n + i] = sum;
      }
      matrix[i * n + i] += diagonal;
    }
    return [matrix, projected];
  }

  function score(sigmaIndex) {
    const [matrix, projected] = normalMatrix(profilesOf("kinematic", sigmaIndex), recipe.ridge);
    const n = projected.length, copy = Float64Array.from(matrix);
    const amplitude = solve(copy, projected).map((value) => Math.max(value, 0));
    let gain = 0;
    for (let i = 0; i < n; i++) {
      gain += 2 * amplitude[i] * projected[i] + amplitude[i] ** 2 * recipe.ridge;
      for (let j = 0; j < n; j++) gain -= amplitude[i] * matrix[i * n + j] * amplitude[j];
    }
    return gain - (Math.log(recipe.sigmas[sigmaIndex] / recipe.usual_sigma) / recipe.sigma_scatter) ** 2;
  }

  function best(candidates) {
    let found = candidates[0], highest = -Infinity;
    for (const index of candidates) {
      const value = score(index);
      if (value > highest) [found, highest] = [index, value];
    }
    return found;
  }

  const range = (from, to, stride = 1) => Array.from({ length: Math.ceil((to - from) / stride) }, (_, i) => from + i * stride);
  const ratio = (upper, lower) => (upper > 0 && lower > 0 ? Math.log10(upper / lower) : NaN);

  return (flux) => {
    let red = 0, blue = 0;
    for (let i = 0; i < 1000; i++) {
      red += arrays.breaks[i] * flux[i];
      blue += arrays.breaks[1000 + i] * flux[i];
    }
    const dn4000 = blue > 0 ? red / blue : NaN;
    window.set(flux.subarray(first, last + 1));
    window.sort();
    const middle = window.length >> 1;
    const norm = window.length % 2 ? window[middle] : (window[middle - 1] + window[middle]) / 2;
    if (!(norm > 0)) return { ew: NaN, dn4000, n2: NaN, o3: NaN };
    for (let i = 0; i < 1000; i++) {
      scaled[i] = flux[i] / norm;
      excess[i] = scaled[i] - arrays.mean[i];
    }
    multiply(arrays.operator, nCoefficients, 1000, excess, coefficients);
    let level = 0;
    for (let p = 0; p < nPixels; p++) {
      let smooth = arrays.mean[pixels[p]], emission = 0;
      for (let k = 0; k < nTerms; k++) smooth += coefficients[k] * arrays.terms[k * nPixels + p];
      for (let k = nTerms; k < nCoefficients; k++) emission += coefficients[k] * arrays.profiles[(k - nTerms) * nPixels + p];
      continuum[p] = smooth;
      residual[p] = scaled[pixels[p]] - smooth;
      weight[p] = 1 / (recipe.model_error ** 2 + (recipe.template_error * Math.max(smooth + emission, 0)) ** 2);
      level += arrays.sides[p] * smooth;
    }
    const nSigmas = recipe.sigmas.length, coarse = best(range(0, nSigmas, recipe.stride));
    const fine = best(range(Math.max(coarse - recipe.stride + 1, 0), Math.min(coarse + recipe.stride, nSigmas)));
    const [matrix, projected] = normalMatrix(profilesOf("lines", fine), 1 / recipe.amplitude_variance);
    const line = solve(matrix, projected), { ha, hb, n2, o3 } = recipe.rows;
    return { ew: level > 0 ? line[ha] / level : NaN, dn4000, n2: ratio(line[n2], line[ha]), o3: ratio(line[o3], line[hb]) };
  };
}

const taken = new WeakMap();

export default function ({ data, parentElement }) {
  if (taken.get(parentElement) === data) return;
  taken.set(parentElement, data);
  const [header, arrays] = unpack(data);
  const n = header.decoder.layers[0][1];
  shared.models.clear();  // one model is in use at a time
  shared.models.set(header.model, {
    decode: makeDecoder(header.decoder, arrays),
    density: header.density ? makeDensity(header.density, arrays, n) : null,
    measure: makeMeasure(header.recipe, arrays),
    wave: Float64Array.from({ length: 1000 }, (_, i) => 10 ** (header.recipe.loglam[0] + header.recipe.loglam[1] * i)),
  });
  shared.events.dispatchEvent(new Event("model"));
}
