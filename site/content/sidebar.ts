/** The sidebar, made of the files: a new page of docs/ shows up by itself, under its title. */
import { basename } from 'node:path'
import type { DefaultTheme } from 'vitepress'
import { decisionTitleOf, entriesOf, isFolder, titleOf } from './files.ts'
import { pageOf } from './places.ts'

type Item = DefaultTheme.SidebarItem

/** The guides that come first, in this order. */
const GUIDES = ['waiting', 'elections', 'claims', 'shares', 'fencing', 'failover', 'cluster', 'guarantees', 'migrating']
/** Pages of docs/ that are no guides. */
const BACKGROUND = ['how-it-works', 'properties', 'compatibility', 'benchmarks']
/** Pages of docs/api/ that come first, in this order. */
const REFERENCE = ['lease-manager', 'lease', 'options', 'events', 'errors']

export function makeSidebar(): Item[] {
  const docs = pagesIn('docs')
  const isBackground = (file: string) => BACKGROUND.includes(nameOf(file))
  const guides = docs.filter((file) => !isBackground(file))
  const others = pagesIn('.').filter((file) => file !== 'README.md')
  const decisions = pagesIn('docs/adr').map((file) => ({ ...itemOf(file), text: decisionTitleOf(file) }))
  const groups: Item[] = [
    { text: 'Start', items: [{ text: 'Overview', link: '/' }] },
    { text: 'Guides', items: first(GUIDES, guides).map(itemOf) },
    { text: 'Recipes', items: first(['README'], pagesIn('docs/recipes')).map(itemOf) },
    { text: 'Reference', items: first(REFERENCE, pagesIn('docs/api')).map(itemOf) },
    { text: 'Types', collapsed: true, items: treeOf('site/generated/types') },
    { text: 'Background', items: first(BACKGROUND, docs.filter(isBackground)).map(itemOf) },
    { text: 'Decisions', collapsed: true, items: decisions },
    { text: 'Project', items: others.map(itemOf) },
  ]
  return groups.filter(({ items }) => items?.length !== 0)
}

function pagesIn(folder: string): string[] {
  return entriesOf(folder).filter((file) => !isFolder(file) && pageOf(file) !== undefined)
}

function nameOf(file: string): string {
  return basename(file, '.md')
}

function itemOf(file: string): Item {
  return { text: titleOf(file), link: `/${pageOf(file)}` }
}

/** The files of these names in this order, then the others. Each name must be that of a file, unless there are no files at all. */
function first(names: readonly string[], files: readonly string[]): string[] {
  if (files.length === 0) return []
  const known = names.map((name) => {
    const file = files.find((other) => nameOf(other) === name)
    if (file === undefined) throw new Error(`The sidebar names ${name}.md, but there is no such page`)
    return file
  })
  return [...known, ...files.filter((file) => !known.includes(file))]
}

/** Folders as groups that can be opened; a folder's index.md is the group's own page. */
function treeOf(folder: string): Item[] {
  return entriesOf(folder)
    .filter((path) => nameOf(path) !== 'index')
    .map((path) => {
      if (!isFolder(path)) return { text: nameOf(path), link: `/${pageOf(path)}` }
      const index = entriesOf(path).find((file) => nameOf(file) === 'index')
      const group = index === undefined ? { text: inWords(nameOf(path)) } : itemOf(index)
      return { ...group, collapsed: true, items: treeOf(path) }
    })
}

/** `type-aliases` as `Type aliases`. */
function inWords(name: string): string {
  return `${name.charAt(0).toUpperCase()}${name.slice(1).replaceAll('-', ' ')}`
}
