// Builds dist/herald.js from src/. `node build.mjs --check` builds nothing and says whether it is what src/ builds to.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const BYTES_MAX = 12 * 1024;
const OUT = new URL('dist/herald.js', import.meta.url);

/** The built file, as text. */
export async function built() {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('src/herald.js', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2021',
    minify: true,
    mangleProps: /^_/, // ours alone: what pages may call has no underscore
    legalComments: 'none',
    banner: { js: `/*! herald.js ${version()}: the browser client of Herald. MIT OR Apache-2.0 */` },
  });
  return outputFiles[0].text;
}

function version() {
  return JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')).version;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await built();
  const bytes = Buffer.byteLength(text);
  if (bytes >= BYTES_MAX) throw new Error(`dist/herald.js would have ${bytes} bytes; fewer than ${BYTES_MAX} are allowed`);
  if (process.argv[2] !== '--check') writeFileSync(OUT, text);
  else if (readFileSync(OUT, 'utf8') !== text) throw new Error('dist/herald.js is not what src/ builds to: npm run build');
  console.log(`dist/herald.js: ${bytes} bytes`);
}
