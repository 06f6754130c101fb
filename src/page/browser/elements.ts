/** The elements of the page. Text from outside becomes text, and never anything else. */

/** The element of this id, which index.html has. */
export function element<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`The page has no element \`${id}\``)
  return found as E
}

export function make<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  className = '',
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[T] {
  const made = document.createElement(tag)
  if (className !== '') made.className = className
  made.append(...children)
  return made
}

/** Sets a text if it is another one: what does not change needs no layout. */
export function write(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text
}

/** A cell of a table. @param name what a narrow screen calls it. */
export interface Cell {
  readonly text: string
  readonly name: string
  readonly className?: string
}

/** A row whose cells are texts. */
function rowOf(cells: readonly Cell[]): HTMLTableRowElement {
  const row = make('tr')
  for (const { text, name, className = '' } of cells) {
    const cell = make('td', className, text)
    cell.dataset['name'] = name
    row.append(cell)
  }
  return row
}

/** Makes a table show these rows, and keeps the cells that are there already. */
export function showRows(body: HTMLElement, rows: readonly (readonly Cell[])[]): void {
  for (const [index, cells] of rows.entries()) {
    const row = body.children[index]
    if (row === undefined) {
      body.append(rowOf(cells))
      continue
    }
    for (const [column, { text, className = '' }] of cells.entries()) {
      const cell = row.children[column] as HTMLElement
      write(cell, text)
      if (cell.className !== className) cell.className = className
    }
  }
  while (body.children.length > rows.length) body.lastElementChild?.remove()
}
