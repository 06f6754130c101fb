import { expect } from 'chai'
import { readArguments, UsageError } from '#src/cli/arguments.js'
import { COMMANDS, helpOf, OPTIONS } from '#src/cli/usage.js'

const DEFAULTS = {
  command: 'ls',
  key: '',
  url: 'redis://localhost:6379',
  prefix: 'lease:',
  sentinel: undefined,
  cluster: false,
  timeout: 5_000,
  json: false,
  match: undefined,
  owner: undefined,
  every: 1_000,
  count: Number.POSITIVE_INFINITY,
  yes: false,
  port: undefined,
  host: '127.0.0.1',
  readWrite: false,
}

describe('the arguments of the command line', () => {
  it('have defaults', () => {
    expect(readArguments(['ls'], {})).to.deep.equal(DEFAULTS)
  })

  it('take the server from $REDIS_URL, unless they name one', () => {
    const env = { REDIS_URL: 'redis://other' }
    expect(readArguments(['ls'], env)).to.include({ url: 'redis://other' })
    expect(readArguments(['ls', '-r', 'redis://third'], env)).to.include({ url: 'redis://third' })
    expect(readArguments(['ls'], { REDIS_URL: '' })).to.include({ url: 'redis://localhost:6379' })
  })

  it('set what they say', () => {
    expect(
      readArguments(
        [
          'top',
          '--prefix',
          '',
          '--sentinel',
          'mymaster',
          '--json',
          '--match',
          'a*',
          '--owner',
          'web-1',
          '--every=0.5',
          '-n',
          '3',
        ],
        {},
      ),
    ).to.deep.equal({
      ...DEFAULTS,
      command: 'top',
      prefix: '',
      sentinel: 'mymaster',
      json: true,
      match: 'a*',
      owner: 'web-1',
      every: 500,
      count: 3,
    })
    expect(readArguments(['release', 'order:42', '-y', '--cluster', '--timeout', '2'], {})).to.deep.equal({
      ...DEFAULTS,
      command: 'release',
      key: 'order:42',
      yes: true,
      cluster: true,
      timeout: 2_000,
    })
  })

  it('take a key that begins with a dash behind two dashes', () => {
    expect(readArguments(['inspect', '--', '--json'], {})).to.include({ key: '--json', json: false })
  })

  for (const [what, words] of Object.entries({
    'nothing at all': [],
    'no command': ['frobnicate'],
    'an option that does not exist': ['ls', '--force'],
    'an option of another command': ['ls', '--yes'],
    'an option without its value': ['ls', '--match'],
    'a cluster behind Sentinels': ['ls', '--cluster', '--sentinel', 'mymaster'],
    'a key too many': ['ls', 'order:42'],
    'two keys': ['inspect', 'a', 'b'],
    'a key too few': ['inspect'],
    'a pause that is no number': ['top', '--every', 'often'],
    'a pause that is too short': ['top', '--every', '0'],
    'a number of looks that is empty': ['watch', '-n', ''],
  })) {
    it(`are refused: ${what}`, () => {
      expect(() => readArguments(words, {})).to.throw(UsageError)
    })
  }

  it('ask for help and for the version', () => {
    for (const words of [['--help'], ['-h'], ['help']]) {
      expect(readArguments(words, {})).to.deep.equal({ command: 'help', of: undefined })
    }
    for (const words of [
      ['top', '--help'],
      ['top', '-h'],
      ['help', 'top'],
    ]) {
      expect(readArguments(words, {})).to.deep.equal({ command: 'help', of: 'top' })
    }
    expect(readArguments(['--version'], {})).to.include({ command: 'version' })
  })
})

describe('the help', () => {
  it('names every command, and fits a terminal', () => {
    const help = helpOf(undefined)
    for (const name of Object.keys(COMMANDS)) expect(help).to.match(new RegExp(`^  ${name}\\b`, 'm'))
    for (const line of help.split('\n')) expect(line.length, line).to.be.at.most(120)
  })

  for (const [name, { options, examples }] of Object.entries(COMMANDS)) {
    it(`of ${name} names its options, and shows examples that are valid`, () => {
      const help = helpOf(name as keyof typeof COMMANDS)
      for (const option of ['redis', 'json', ...options]) expect(help).to.include(`--${option}`)
      expect(examples).to.not.have.length(0)
      for (const example of examples) {
        expect(help).to.include(example)
        const words = example.split(' | ')[0]?.replaceAll("'", '').split(' ').slice(1) ?? []
        expect(readArguments(words, {}), example).to.include({ command: name })
      }
    })
  }

  it('knows no option that no command has', () => {
    const used = Object.keys(COMMANDS).map((name) => helpOf(name as keyof typeof COMMANDS))
    for (const option of Object.keys(OPTIONS)) {
      if (option !== 'version') expect(used.join('\n')).to.include(`--${option}`)
    }
  })
})
