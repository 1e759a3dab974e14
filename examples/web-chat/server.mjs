// Serves this folder, and nothing above it, on loopback: node server.mjs [PORT]
// PORT 0 takes any free port; the URL is printed once the page can be opened.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const PORT_DEFAULT = 8000;
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.map': 'application/json',
};
// The page runs its own scripts only, and may talk to whatever server it is pointed at.
const HEADERS = {
  'Content-Security-Policy': "default-src 'self'; connect-src http: https: ws: wss:",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
};

/** Serves `folder` on 127.0.0.1; resolves with the server once it listens. */
export function serve(folder, port) {
  const server = createServer(async (request, response) => {
    const file = fileOf(folder, request.url);
    const type = file && TYPES[extname(file)];
    try {
      if (!type) throw new Error('not served');
      const body = await readFile(file);
      response.writeHead(200, { ...HEADERS, 'Content-Type': type }).end(body);
    } catch {
      response.writeHead(404, { ...HEADERS, 'Content-Type': 'text/plain' }).end('Not here.\n');
    }
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

// A path that leaves the folder, or is not a path at all, has no file.
function fileOf(folder, url) {
  try {
    const { pathname } = new URL(url, 'http://localhost');
    const file = normalize(join(folder, decodeURIComponent(pathname)));
    if (!file.startsWith(folder) || file.includes('\0')) return null;
    return file.endsWith(sep) ? join(file, 'index.html') : file;
  } catch {
    return null;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const port = Number(process.argv[2] ?? PORT_DEFAULT);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    console.error('usage: node server.mjs [PORT]');
    process.exit(2);
  }
  try {
    const server = await serve(FOLDER, port);
    console.log(`http://127.0.0.1:${server.address().port}/`);
  } catch (error) {
    console.error(`cannot listen on 127.0.0.1:${port}: ${error.message}`);
    process.exit(1);
  }
}
