import { expect } from 'chai'
import { ManualClock } from 'leasewheel/memory'
import { RouteNews } from '#src/redis/cluster/route-news.js'

/** Runs `work` with news about nodes, and a journal of what is told. */
async function withNews(
  work: (parts: { readonly news: RouteNews; readonly told: string[]; readonly clock: ManualClock }) => Promise<void>,
): Promise<void> {
  const clock = new ManualClock()
  const told: string[] = []
  const news = new RouteNews({
    clock,
    listener: {
      onRecovered: (route) => void told.push(`recovered ${route}`),
      onSuspect: (route) => void told.push(`suspect ${route}`),
      onChange: (_, route) => void told.push(`change ${route}`),
    },
    onOtherServer: (route) => void told.push(`other server ${route}`),
  })
  await work({ news, told, clock })
  news.close()
  expect(clock.timers, 'P24: timers').to.equal(0)
}

const watching = { route: 3, tracking: { active: true } }
const notYet = { route: 3, tracking: { active: false } }

describe('the news of a node', () => {
  it('is told once the node can be asked, and once', () =>
    withNews(async ({ news, told }) => {
      news.onRecovered(3)
      expect(told).to.deep.equal([])
      for (let time = 0; time < 2; time += 1) news.onUsable(watching)
      expect(told).to.deep.equal(['recovered 3'])
    }))

  it('that it has taken over is not forgotten because its slots come back as well', () =>
    withNews(async ({ news, told }) => {
      news.onPromoted(3)
      news.onRecovered(3)
      news.onUsable(watching)
      expect(told).to.deep.equal(['other server 3', 'suspect 3', 'change 3'])
    }))

  it('that it has taken over waits until it reports changes, so that all is renewed once', () =>
    withNews(async ({ news, told, clock }) => {
      news.onPromoted(3)
      news.onUsable(notYet)
      await clock.advance(30)
      expect(told).to.deep.equal([])
      expect(news.onWatching(watching)).to.equal(true)
      expect(told).to.deep.equal(['other server 3', 'suspect 3', 'change 3'])
      await clock.advance(1_000)
      expect(told).to.have.lengthOf(3)
      expect(news.onWatching(watching), 'there is no more news').to.equal(false)
    }))

  it('that it has taken over does not wait for long', () =>
    withNews(async ({ news, told, clock }) => {
      news.onPromoted(3)
      news.onUsable(notYet)
      news.onUsable(notYet)
      await clock.advance(60)
      expect(told).to.deep.equal(['other server 3', 'suspect 3'])
      news.onPromoted(4)
      news.onUsable({ route: 4, tracking: undefined })
      expect(told.slice(2)).to.deep.equal(['other server 4', 'suspect 4'])
    }))

  it('is dropped if it serves nothing any more', () =>
    withNews(async ({ news, told, clock }) => {
      news.onPromoted(3)
      news.onUsable(notYet)
      news.forget(3)
      await clock.advance(1_000)
      news.onUsable(watching)
      expect(told).to.deep.equal([])
    }))
})
