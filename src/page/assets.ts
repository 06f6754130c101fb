/**
 * The files that a browser gets. The build replaces this module by one that contains them. From the source, they are built on demand: the first
 * request then takes a moment.
 */
import type { PageAssets } from './page-assets.ts'

/** Beside src/, and beside build/ when coverage is measured. */
const BUNDLER = new URL('../../scripts/page-bundle.ts', import.meta.url)

interface Bundler {
  bundlePage(): Promise<PageAssets>
}

let assets: Promise<PageAssets> | undefined

export function loadAssets(): Promise<PageAssets> {
  assets ??= (import(BUNDLER.href) as Promise<Bundler>).then((bundler) => bundler.bundlePage())
  return assets
}
