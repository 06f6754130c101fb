/**
 * Puts the compiled files of build/ in the place of src/ when coverage is measured, and keeps tsx off them: tsx rewrites JavaScript too, and
 * with it goes the source map by which the figures find their way back to src/. Preloaded by .mocharc.dist.json, after tsx, so its hooks are
 * asked before tsx's.
 */
import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const source = new URL('../../src/', import.meta.url).href
const build = new URL('../../build/', import.meta.url).href

// This file is loaded twice: by `--import`, and then by the thread that runs the hooks.
if (isMainThread) register(import.meta.url)

export async function resolve(specifier, context, nextResolve) {
  const resolved = await nextResolve(specifier, context)
  if (!resolved.url.startsWith(source)) return resolved
  return { ...resolved, url: resolved.url.replace(source, build).replace(/\.ts$/, '.js') }
}

export async function load(url, context, nextLoad) {
  if (!url.startsWith(build)) return nextLoad(url, context)
  return { format: 'module', source: await readFile(new URL(url)), shortCircuit: true }
}
