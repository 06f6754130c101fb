/**
 * Puts another build of this package, that of the folder in LEASEWHEEL_BEFORE, wherever `leasewheel` or one of its entries
 * is imported. Entries that the other build does not have yet stay those of this one. Preloaded for the runtime `before`.
 */
import { existsSync, readFileSync } from 'node:fs'
import { register } from 'node:module'
import { resolve as resolvePath } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isMainThread } from 'node:worker_threads'

// This file is loaded twice: by `--import`, and then by the thread that runs the hooks.
if (isMainThread) register(import.meta.url)

const folder = resolvePath(process.env['LEASEWHEEL_BEFORE'])
const { name, exports } = JSON.parse(readFileSync(resolvePath(folder, 'package.json'), 'utf8'))

export function resolve(specifier, context, nextResolve) {
  if (specifier !== name && !specifier.startsWith(`${name}/`)) return nextResolve(specifier, context)
  const file = fileOf(exports[`.${specifier.slice(name.length)}`])
  const isThere = file !== undefined && existsSync(resolvePath(folder, file))
  return nextResolve(isThere ? pathToFileURL(resolvePath(folder, file)).href : specifier, context)
}

/** What a program that imports the package gets: the first file under a condition that holds for it. */
function fileOf(entry) {
  if (entry === undefined || typeof entry === 'string') return entry
  return fileOf(entry.import ?? entry.default)
}
