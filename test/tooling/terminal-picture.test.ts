/** The picture of the demo: how it is drawn, and the one that is in docs/. */
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { drawTerminal, linesOnScreen } from '../../scripts/terminal-picture.ts'

const ERASE = '\r\u001b[2K'

/** The text of each line of a picture. */
function textOf(svg: string): readonly string[] {
  return [...svg.matchAll(/<text [^>]*>(.*)<\/text>/g)].map(([, line = '']) =>
    line
      .replaceAll(/<\/?tspan[^>]*>/g, '')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&'),
  )
}

describe('the picture of a terminal', () => {
  it('has only the lines that no later output replaced', () => {
    const output = `first\n${ERASE}1 s${ERASE}second\n1 s${ERASE}2 s${ERASE}3 s\nlast\n`
    expect(linesOnScreen(output)).to.deep.equal(['first', 'second', '3 s', 'last'])
  })

  it('refuses an unknown control sequence', () => {
    expect(() => linesOnScreen('a \u001b[1A b\n')).to.throw(Error, 'control characters')
  })

  it('keeps every character of a line', () => {
    const lines = ['  ok      a < b && c > d', '         event  lost: taken         200', 'plain']
    expect(textOf(drawTerminal(lines, 'a title'))).to.deep.equal(lines)
  })

  it('marks losses, in another colour on dark pages', () => {
    const svg = drawTerminal(['         event  lost: missing       200'], 'a title')
    expect(svg).to.include('<tspan class="bad">lost: missing</tspan>')
    const [light = '', dark = ''] = svg.split('@media (prefers-color-scheme: dark)')
    const colourIn = (style: string): string | undefined => /\.bad \{ fill: (#\w+) \}/.exec(style)?.[1]
    expect(colourIn(light)).to.match(/^#/)
    expect(colourIn(dark)).to.match(/^#/).and.not.equal(colourIn(light))
  })
})

describe('docs/demo.svg', () => {
  const svg = readFileSync('docs/demo.svg', 'utf8')
  const lines = textOf(svg)

  it('shows a demo from its command to its verdict', () => {
    expect(lines[0]).to.equal('$ npm run demo')
    expect(lines.at(-1)).to.match(/^All \d+ expectations held\.$/)
    expect(lines.filter((line) => line.includes('FAILED'))).to.deep.equal([])
  })

  it('is small, and matches what the code draws', () => {
    expect(svg.length).to.be.below(60_000)
    expect(drawTerminal(lines, 'The output of npm run demo')).to.equal(svg)
  })

  it('names no folder and no machine', () => {
    expect(
      lines.filter((line) => /\/(home|root|work|tmp|Users)\b|localhost|\d+\.\d+\.\d+\.\d+/.test(line)),
    ).to.deep.equal([])
  })
})
