import { expect } from 'chai'
import { UsageError } from '../../bench/command.ts'
import { describeOptions, integersOption, namesOption, parseOptions } from '../../bench/options.ts'
import { limitOption } from '../../bench/scale-limit.ts'

const options = {
  locks: integersOption({ placeholder: 'N,N', summary: 'locks', initial: [5, 6], minimum: 1 }),
  names: namesOption({ placeholder: 'a,b', summary: 'names', initial: ['a'] }, ['a', 'b']),
  limit: limitOption,
}

describe('The options of the bench', () => {
  it('take integers in any order, each once', () => {
    expect(parseOptions(options, ['--locks', '1_000,10,1000']).locks).to.deep.equal([10, 1_000])
    expect(parseOptions(options, []).locks).to.deep.equal([5, 6])
  })

  it('reject a list with an invalid integer, and name what was expected', () => {
    expect(() => parseOptions(options, ['--locks', '5,x'])).to.throw(
      UsageError,
      'Expected `--locks` to be an integer >= 1, or several separated by commas, got `5,x`',
    )
    expect(() => parseOptions(options, ['--locks', '0'])).to.throw(UsageError)
  })

  it('can have some of the names as their default', () => {
    expect(parseOptions(options, []).names).to.deep.equal(['a'])
    expect(parseOptions(options, ['--names', 'b,a']).names).to.deep.equal(['a', 'b'])
  })

  it('are described with their defaults as one types them', () => {
    expect(describeOptions(options)).to.contain('(default: 5,6)').and.to.contain('redlock=100000')
  })
})
