/**
 * Builds the files that the page sends to browsers. The build of the package puts them into `leasewheel/page`. From the source, src/page/assets.ts
 * asks for them when somebody opens the page.
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'rolldown'
import type { PageAssets } from '../src/page/page-assets.ts'

const root = resolve(import.meta.dirname, '..')
const folder = join(root, 'src/page/browser')

interface PageBundle {
  readonly assets: PageAssets
  /** The files that went into the script. */
  readonly modules: readonly string[]
}

export async function buildPage(): Promise<PageBundle> {
  const { output } = await build({
    cwd: root,
    input: join(folder, 'main.ts'),
    platform: 'browser',
    write: false,
    output: { format: 'esm', minify: true, comments: false },
  })
  const [{ code, moduleIds }, ...more] = output
  if (more.length > 0) throw new Error('The page has more than one script')
  const read = (file: string): string => readFileSync(file, 'utf8')
  const plot = join(root, 'node_modules/uplot/dist/uPlot.min.css')
  const style = `${read(plot)}\n${read(join(folder, 'page.css'))}`
  const assets = { html: read(join(folder, 'index.html')), style, script: code, icon: read(join(folder, 'icon.svg')) }
  return { assets, modules: moduleIds }
}

export async function bundlePage(): Promise<PageAssets> {
  return (await buildPage()).assets
}
