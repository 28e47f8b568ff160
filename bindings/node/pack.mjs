// Packs what is built: the package `neonhub`, and the package with this platform's native part, in the layout of
// `napi create-npm-dirs`. The first one names the packages of all platforms as optional dependencies.
//
//     node pack.mjs OUT

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { platforms, target } from './platform.mjs';

const folder = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? 'npm');
const own = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const { name, version, license, repository, engines } = own;

function pack(into, manifest, files) {
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  for (const [from, to] of files) cpSync(join(folder, from), join(into, to), { recursive: true, filter: wanted(manifest) });
  writeFileSync(join(into, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const command = ['pack', '--ignore-scripts', '--pack-destination', out];
  execFileSync('npm', command, { cwd: into, stdio: ['ignore', 'inherit', 'inherit'], shell: process.platform === 'win32' });
}

/** The native part is in the package of its platform alone. */
function wanted(manifest) {
  return (path) => manifest.name !== name || !path.endsWith('.node');
}

const library = `${name}.${target}.node`;
const platform = { name: `${name}-${target}`, version, license, repository, engines, main: library, files: [library], ...platforms[target] };
pack(join(out, target), platform, [[`dist/${library}`, library]]);

const { scripts: _scripts, devDependencies: _tools, ...main } = own;
const optionalDependencies = Object.fromEntries(Object.keys(platforms).map((key) => [`${name}-${key}`, version]));
pack(join(out, name), { ...main, optionalDependencies }, [['dist', 'dist'], ['README.md', 'README.md']]);
