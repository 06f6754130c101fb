/**
 * Keeps tsx off dist/ when coverage is measured: tsx rewrites JavaScript too, and with it goes the source map by which
 * the figures find their way back to src/. Preloaded by .mocharc.dist.json, after tsx, so its hook is asked before tsx's.
 */
import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const build = new URL('../../dist/', import.meta.url).href

// This file is loaded twice: by `--import`, and then by the thread that runs the hooks.
if (isMainThread) register(import.meta.url)

export async function load(url, context, nextLoad) {
  if (!url.startsWith(build)) return nextLoad(url, context)
  return { format: 'module', source: await readFile(new URL(url)), shortCircuit: true }
}
