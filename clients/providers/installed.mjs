// Node packages, from where scripts/install-test-servers puts them.

import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
const folder = process.env.ARCHSTONE_NODE || path.join(cache, 'archstone', 'node');

/** Imports a package by its name. */
export async function installed(name) {
  const file = createRequire(path.join(folder, 'package.json')).resolve(name);
  return import(pathToFileURL(file));
}
