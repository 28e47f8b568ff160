// The platforms of the prebuilt packages, named as @napi-rs/cli names them.

import { existsSync } from 'node:fs';

/** Name of each build with the fields that npm chooses by. */
export const platforms = {
  'linux-x64-gnu': { os: ['linux'], cpu: ['x64'], libc: ['glibc'] },
  'linux-arm64-gnu': { os: ['linux'], cpu: ['arm64'], libc: ['glibc'] },
  'linux-x64-musl': { os: ['linux'], cpu: ['x64'], libc: ['musl'] },
  'darwin-arm64': { os: ['darwin'], cpu: ['arm64'] },
  'darwin-x64': { os: ['darwin'], cpu: ['x64'] },
  'win32-x64-msvc': { os: ['win32'], cpu: ['x64'] },
};

const isMusl = process.platform === 'linux' && existsSync('/etc/alpine-release');
const abi = { linux: isMusl ? '-musl' : '-gnu', win32: '-msvc' }[process.platform] ?? '';

/** The build of this machine. */
export const target = `${process.platform}-${process.arch}${abi}`;
