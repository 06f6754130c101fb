import { slug } from 'github-slugger'
import { defineConfig, type SiteConfig } from 'vitepress'
import { findBrokenLinks } from '../content/check.ts'
import { read } from '../content/files.ts'
import { linksOfTheSite, notPages, pageOf } from '../content/places.ts'
import { makeSidebar } from '../content/sidebar.ts'

const { description } = JSON.parse(read('package.json')) as { readonly description: string }

/** Vite has one for each of its two builds. */
const loggers: { readonly hasWarned: boolean }[] = []

function fail(what: string): never {
  throw new Error(what)
}

export default defineConfig({
  title: 'leasewheel',
  description,
  srcDir: '..',
  srcExclude: notPages(),
  rewrites: (file) => pageOf(file) ?? fail(`${file} has no place on the site`),
  outDir: './dist',
  cacheDir: './node_modules/.vitepress',
  metaChunk: true,
  transformHead: ({ siteData }) => [['link', { rel: 'icon', href: `${siteData.base}wheel.svg` }]],
  markdown: {
    // The anchors that the same headings have on GitHub.
    anchor: { slugify: slug },
    config: linksOfTheSite,
  },
  vite: {
    publicDir: 'site/public',
    // In kB. The largest file is the search index, which is loaded at the first search and grows with the pages.
    build: { chunkSizeWarningLimit: 1_000 },
    plugins: [
      {
        // The pages lie outside of this folder, where Vite does not find its packages. Node does: it runs the result in here.
        name: 'vue-for-pages-elsewhere',
        enforce: 'pre',
        resolveId: (id, _importer, { ssr }) => (ssr && /^vue(\/|$)/.test(id) ? { id, external: true } : undefined),
      },
      {
        name: 'collect-loggers',
        configResolved: ({ logger }) => {
          loggers.push(logger)
        },
      },
    ],
  },
  buildEnd: ({ logger, outDir, site }: SiteConfig) => {
    if ([logger, ...loggers].some(({ hasWarned }) => hasWarned)) fail('There were warnings')
    const broken = findBrokenLinks(outDir, site.base)
    if (broken.length > 0) fail(`Broken links:\n${broken.join('\n')}`)
  },
  themeConfig: {
    logo: '/wheel.svg',
    search: {
      provider: 'local',
      options: {
        miniSearch: {
          searchOptions: {
            // The guides and the reference come before the types, the decisions and the changes.
            boostDocument: (page: string) => (/\/(types|adr|changelog)\b/.test(page) ? 0.4 : 1),
          },
        },
      },
    },
    nav: [
      { text: 'Guides', link: '/waiting' },
      { text: 'Reference', link: '/api/lease-manager', activeMatch: '^/(api|types)/' },
      { text: 'Benchmarks', link: '/benchmarks' },
      { text: 'Changes', link: '/changelog' },
    ],
    sidebar: makeSidebar(),
    outline: [2, 3],
  },
})
