const ioredis = require('ioredis')
const leasewheel = require('leasewheel')
const memory = require('leasewheel/memory')
const { scenario } = require('../scenario.cjs')

test('a lease is acquired, renewed and released', () =>
  scenario({ ioredis, leasewheel, memory }, process.env.REDIS_URL))
