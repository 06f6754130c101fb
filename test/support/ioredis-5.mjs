/**
 * Puts ioredis 5, the older of the two major versions that the package promises to work with, wherever `ioredis` is
 * imported. Preloaded by .mocharc.ioredis-5.json.
 */
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

// This file is loaded twice: by `--import`, and then by the thread that runs the hooks.
if (isMainThread) register(import.meta.url)

export function resolve(specifier, context, nextResolve) {
  return nextResolve(specifier === 'ioredis' ? 'ioredis-5' : specifier, context)
}
