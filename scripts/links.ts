/**
 * `npm run links`: whether the links of README.md, CHANGELOG.md, CONTRIBUTING.md, SECURITY.md and docs/ point to files, folders and headings
 * that exist. With `-- --external` it also fetches each URL that they name.
 *
 * `node ... scripts/links.ts FOLDER` looks at another folder with such files.
 */
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Markdown, pagesOf, readMarkdown } from './markdown.ts'

/** How long one URL may take, in ms. */
const TIMEOUT = 20_000

const { values, positionals } = parseArgs({
  options: { external: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const root = positionals[0] ?? '.'

const markdown = new Map<string, Markdown>()

function read(file: string): Markdown {
  const known = markdown.get(file) ?? readMarkdown(file)
  markdown.set(file, known)
  return known
}

/** What is wrong with a link that stands in a page, if anything is. */
function faultOf(page: string, target: string): string | undefined {
  if (target.startsWith('/')) return 'begins with a slash: write it relative to the file'
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? page : join(dirname(page), decodeURIComponent(path))
  if (file.startsWith('..')) return 'leaves the repository'
  const found = join(root, file)
  if (!existsSync(found)) return 'there is no such file'
  if (anchor === undefined) return undefined
  const named = statSync(found).isDirectory() ? join(found, 'README.md') : found
  if (!named.endsWith('.md')) return /^L\d+(-L\d+)?$/.test(anchor) ? undefined : 'only Markdown files have anchors'
  if (!existsSync(named) || !read(named).anchors.has(decodeURIComponent(anchor))) return 'there is no such heading'
  return undefined
}

/** What is wrong with a URL, if anything is. */
async function externalFaultOf(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) })
    await response.body?.cancel()
    return response.ok ? undefined : `the server answers ${response.status}`
  } catch (error) {
    const { message, cause } = error as Error
    return cause instanceof Error ? `${message}: ${cause.message}` : message
  }
}

const faults: string[] = []
const urls = new Map<string, string>()
let links = 0
const pages = pagesOf(root)
for (const page of pages) {
  for (const { target, line } of read(join(root, page)).links) {
    const place = `${page}:${line}`
    links += 1
    if (/^https?:/.test(target)) {
      urls.set(target, place)
      continue
    }
    if (/^[a-z]+:/.test(target)) continue
    const fault = faultOf(page, target)
    if (fault !== undefined) faults.push(`${place}: ${target}: ${fault}`)
  }
}

if (values.external) {
  const checked = await Promise.all(
    [...urls].map(async ([url, place]) => ({ url, place, fault: await externalFaultOf(url) })),
  )
  for (const { url, place, fault } of checked) if (fault !== undefined) faults.push(`${place}: ${url}: ${fault}`)
}

if (pages.length === 0) faults.push(`${root} has no Markdown files to look at`)
for (const fault of faults) console.error(fault)
if (faults.length > 0) process.exitCode = 1
else {
  const external = `${urls.size} URLs${values.external ? '' : ' (not fetched)'}`
  console.log(
    `${links} links in ${pages.length} Markdown files, to ${external} and to places in the repository: all are good.`,
  )
}
