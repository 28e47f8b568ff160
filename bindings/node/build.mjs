// Builds the package in a clone: the native part with cargo, then the TypeScript.
//
//     node build.mjs [--dev] [--native]     --dev: without optimisation, else as it is shipped; --native: the native part alone

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { target } from './platform.mjs';

const folder = dirname(fileURLToPath(import.meta.url));
const options = { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 30 };

const profile = process.argv.includes('--dev') ? [] : ['--profile', 'ship'];
const cargo = ['build', '-p', 'neonhub-node', ...profile, '--message-format=json-render-diagnostics'];
const built = execFileSync('cargo', cargo, options).split('\n').filter(Boolean).map((line) => JSON.parse(line));
const artifact = built.find((message) => message.reason === 'compiler-artifact' && message.target.name === 'neonhub_node');
const library = artifact.filenames.find((name) => /\.(so|dylib|dll)$/.test(name));
mkdirSync(join(folder, 'dist'), { recursive: true });
copyFileSync(library, join(folder, 'dist', `neonhub.${target}.node`));

if (!process.argv.includes('--native')) {
  const tsc = join(folder, 'node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '-p', '.'], { ...options, stdio: 'inherit' });
}
