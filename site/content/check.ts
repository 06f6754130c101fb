/** Whether the links of the built site lead anywhere: those of its pages, and those that the theme makes. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The links to files or anchors that do not exist. */
export function findBrokenLinks(folder: string, base: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'))
  const pages = new Map(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]))
  const anchors = new Map([...pages].map(([file, html]) => [file, new Set(valuesOf('id', html))]))
  const faults = new Set<string>()
  for (const [file, html] of pages) {
    const page = new URL(base + file, 'http://site')
    for (const link of [...valuesOf('href', html), ...valuesOf('src', html)]) {
      const { origin, pathname, hash } = new URL(link, page)
      if (origin !== page.origin) continue
      const path = decodeURIComponent(pathname)
      const target = path.slice(base.length) + (path.endsWith('/') ? 'index.html' : '')
      const exists = path.startsWith(base) && existsSync(join(folder, target))
      const anchor = decodeURIComponent(hash.slice(1))
      if (!exists || (anchor !== '' && anchors.get(target)?.has(anchor) !== true)) faults.add(`${file}: ${link}`)
    }
  }
  return [...faults]
}

function valuesOf(attribute: string, html: string): string[] {
  return [...html.matchAll(new RegExp(`\\s${attribute}="([^"]*)"`, 'g'))].map(([, value = '']) =>
    value.replaceAll('&amp;', '&'),
  )
}
