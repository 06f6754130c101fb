import { expect } from 'chai'
import fc from 'fast-check'
import { keyText } from '#src/overview/key-text.js'
import { runs } from '../support/manager.ts'

describe('keyText', () => {
  it('leaves every text as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
        expect(keyText(Buffer.from(text))).to.deep.equal({ key: text, bytes: undefined })
      }),
      runs(1_000),
    )
  })

  it('shows bytes that are no text, and keeps them', () => {
    const bytes = Buffer.from([0x61, 0xff, 0x5c, 0x78, 0x0a, 0xc3])
    expect(keyText(bytes)).to.deep.equal({ key: 'a\\xff\\\\x\n\\xc3', bytes: new Uint8Array(bytes) })
  })

  it('shows different bytes differently', () => {
    const alphabet = [0x5c, 0x78, 0x66, 0x63, 0x33, 0xff, 0xc3, 0xa9]
    const some = fc.array(fc.constantFrom(...alphabet), { maxLength: 5 })
    fc.assert(
      fc.property(some, some, (one, other) => {
        const [first, second] = [one, other].map((bytes) => keyText(Uint8Array.from(bytes)))
        // A text can look like bytes that are none, and `bytes` tells the two apart.
        const same = first?.key === second?.key && (first?.bytes === undefined) === (second?.bytes === undefined)
        expect(same).to.equal(one.join() === other.join())
      }),
      runs(5_000),
    )
  })
})
