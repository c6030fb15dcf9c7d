#!/usr/bin/env node
// Repeats a recorded step in headless Chromium, on SwiftShader; see replay.mjs.
//
//   node portability/browser.mjs TRACE [CHROMIUM-FLAG]...
//
// CHROMIUM names another program than `chromium`. Exits as replay.mjs does.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [trace, ...flags] = process.argv.slice(2);
if (!trace) {
  console.error('usage: browser.mjs TRACE [CHROMIUM-FLAG]...');
  process.exit(2);
}
const LIMIT_S = 300;
const here = (name) => new URL(name, import.meta.url);
const files = {
  '/': ['text/html', here('replay.html')],
  '/trace.mjs': ['text/javascript', here('trace.mjs')],
  '/trace': ['application/octet-stream', trace],
};
const profile = mkdtempSync(join(tmpdir(), 'bngpu-chromium-'));
let browser;
let finished = false;

function finish(code, text) {
  if (finished) return;
  finished = true;
  console.log(text);
  const end = () => {
    rmSync(profile, { recursive: true, force: true });
    process.exit(code);
  };
  if (!browser || browser.exitCode !== null || browser.signalCode !== null) return end();
  browser.once('exit', end);
  browser.kill();
}

const server = createServer((request, response) => {
  if (request.method === 'POST') {
    const body = [];
    request.on('data', (piece) => body.push(piece)).on('end', () => {
      response.end();
      const { code, text } = JSON.parse(Buffer.concat(body).toString());
      finish(code, text);
    });
    return;
  }
  const [type, path] = files[request.url] ?? [];
  response.writeHead(path ? 200 : 404, { 'content-type': type ?? 'text/plain' });
  response.end(path ? readFileSync(path) : '');
});

server.listen(0, '127.0.0.1', () => {
  browser = spawn(process.env.CHROMIUM ?? 'chromium', [
    '--headless=new',
    '--no-sandbox',
    '--no-first-run',
    '--disable-extensions',
    '--enable-unsafe-webgpu',
    '--use-webgpu-adapter=swiftshader',
    `--user-data-dir=${profile}`,
    ...flags,
    `http://127.0.0.1:${server.address().port}/`,
  ], { stdio: 'ignore' });
  browser.on('error', (error) => {
    console.error(`Chromium does not start: ${error.message}`);
    process.exit(2);
  });
  browser.on('exit', (code) => finish(2, `Chromium ended by itself: ${code}`));
  setTimeout(() => finish(2, `no result after ${LIMIT_S} s`), 1000 * LIMIT_S).unref();
});
