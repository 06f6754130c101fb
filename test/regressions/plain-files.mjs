/** Has Node take the `.ts` files of a copy of the source as they are: they hold JavaScript. Preloaded by `search.ts`. */
import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

// This file is loaded twice: by `--import`, and then by the thread that runs the hooks.
if (isMainThread) register(import.meta.url)

export async function load(url, context, nextLoad) {
  if (!url.endsWith('.ts')) return nextLoad(url, context)
  return { format: 'module', source: await readFile(new URL(url)), shortCircuit: true }
}
