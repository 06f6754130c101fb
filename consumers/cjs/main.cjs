const ioredis = require('ioredis')
const leasewheel = require('leasewheel')
const memory = require('leasewheel/memory')
const { scenario } = require('../scenario.cjs')

scenario({ ioredis, leasewheel, memory }, process.env.REDIS_URL).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
