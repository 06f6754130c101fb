import { expect } from 'chai'
import fc from 'fast-check'
import { encode, Heads } from '#src/redis/encoded-command.js'

/** What a server reads: the arguments, as bytes. */
function decode(command: Buffer): Buffer[] {
  let offset = 0
  const line = (): string => {
    const end = command.indexOf('\r\n', offset)
    const text = command.toString('latin1', offset, end)
    offset = end + 2
    return text
  }
  const count = Number(/^\*(\d+)$/.exec(line())?.[1])
  const words = Array.from({ length: count }, () => {
    const length = Number(/^\$(\d+)$/.exec(line())?.[1])
    const word = command.subarray(offset, offset + length)
    offset += length
    expect(command.toString('latin1', offset, offset + 2)).to.equal('\r\n')
    offset += 2
    return word
  })
  expect(offset).to.equal(command.length)
  return words
}

describe('encode', () => {
  it('makes a command that a server reads as it was meant, with any arguments', () => {
    // All that a string may have in it: half a surrogate pair as well, and an end of line.
    const text = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 30 }),
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.constantFrom('', '\r\n', '\ud83d', '\ude00', 'ÿ', '漢字', 'x'.repeat(255), 'x'.repeat(256), 'ü'.repeat(300)),
    )
    fc.assert(
      fc.property(fc.array(fc.record({ prefix: text, texts: fc.array(text) })), (groups) => {
        const count = groups.reduce((sum, { texts }) => sum + texts.length, 0)
        const encoded = encode(
          `*${count}`,
          groups.map(({ prefix, texts }) => ({ heads: new Heads(prefix), texts })),
        )
        const meant = groups.flatMap(({ prefix, texts }) => texts.map((one) => Buffer.from(prefix + one)))
        expect(decode(encoded)).to.deep.equal(meant)
      }),
    )
  })

  it('needs no prefix', () => {
    expect(encode('*2', [{ texts: ['GET', 'a'] }]).toString()).to.equal('*2\r\n$3\r\nGET\r\n$1\r\na\r\n')
  })
})
