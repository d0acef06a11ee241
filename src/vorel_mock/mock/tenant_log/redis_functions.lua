#!lua name=vorel_mock_1
-- The logs of tenants in Redis or Valkey. Each function is one step that no other comes between.
--
-- vorel-mock:facts      hash: what concerns the whole mock, and `version`, which counts its changes
-- vorel-mock:number     number of the latest request; :drawn, :made: ids drawn, tenants made
-- vorel-mock:tenants    sorted set: tenants in the order in which they were made
-- vorel-mock:tokens     hash: hash of a token to the tenant of the key
-- vorel-mock:pending    sorted set: tenants with deliveries to make, until when a process makes them
-- vorel-mock:frozen     set: tenants with a frozen clock
-- vorel-mock:leases     sorted set: tenants that end when nobody uses them, and when
-- vorel-mock:ID         hash of a tenant: version, epoch, checkpoint, from (its version), flagged, ttl, owner
-- vorel-mock:ID:log     stream: the entries behind the checkpoint; :tokens, set: the hashes of its tokens

local P = 'vorel-mock:'

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function knows_facts(version)
  return (redis.call('HGET', P .. 'facts', 'version') or '0') == version
end

-- Whether a tenant was replaced since that version, or entries behind it were dropped: it has to be read again.
local function is_behind(tenant, known, epoch)
  return tenant[2] ~= epoch or tonumber(tenant[3]) > tonumber(known)
end

local function missed(id, known)
  return redis.call('XRANGE', P .. id .. ':log', string.format('%d-0', known + 1), '+')
end

-- facts version, number of entries, and of each: tenant or '', known version, epoch, content, '1' for a request.
local function place(_, args)
  if not knows_facts(args[1]) then return {'facts'} end
  local tenants, behind, requests, at = {}, {}, 0, now()
  local last = 2 + 5 * tonumber(args[2])
  for i = 3, last, 5 do
    local id = args[i]
    if args[i + 4] == '1' then requests = requests + 1 end
    if id ~= '' and tenants[id] == nil then
      local found = redis.call('HMGET', P .. id, 'version', 'epoch', 'from', 'ttl')
      tenants[id] = false
      if found[1] and is_behind(found, args[i + 1], args[i + 2]) then
        behind[#behind + 1] = id
      elseif found[1] then
        tenants[id] = {version = tonumber(found[1]), known = tonumber(args[i + 1]), ttl = found[4]}
      end
    end
  end
  if #behind > 0 then return {'behind', behind} end
  local number = 0
  if requests > 0 then number = redis.call('INCRBY', P .. 'number', requests) - requests end
  local placed = {}
  for i = 3, last, 5 do
    local id, n = args[i], 0
    local tenant = id ~= '' and tenants[id]
    if args[i + 4] == '1' then
      number = number + 1
      n = number
    end
    if tenant then
      local others = {}
      if tenant.known and tenant.version > tenant.known then others = missed(id, tenant.known) end
      tenant.known = nil
      tenant.version = tenant.version + 1
      redis.call('XADD', P .. id .. ':log', string.format('%d-0', tenant.version), 'n', n, 'e', args[i + 3])
      placed[#placed + 1] = {tenant.version, n, others}
    else
      placed[#placed + 1] = {id == '' and 0 or -1, n, {}}
    end
  end
  for id, tenant in pairs(tenants) do
    if tenant then
      redis.call('HSET', P .. id, 'version', string.format('%d', tenant.version))
      if tenant.ttl then redis.call('ZADD', P .. 'leases', at + tonumber(tenant.ttl), id) end
    end
  end
  return {'placed', placed}
end

-- facts version, and of each tenant: id, known version, epoch, '1' if somebody uses it.
local function read(_, args)
  if not knows_facts(args[1]) then return {'facts'} end
  local found, behind = {}, {}
  for i = 2, #args, 4 do
    local id = args[i]
    local tenant = redis.call('HMGET', P .. id, 'version', 'epoch', 'from', 'ttl')
    if not tenant[1] then
      found[#found + 1] = {-1, {}}
    elseif is_behind(tenant, args[i + 1], args[i + 2]) then
      behind[#behind + 1] = id
    else
      if tenant[4] and args[i + 3] == '1' then
        redis.call('ZADD', P .. 'leases', now() + tonumber(tenant[4]), id)
      end
      local others = {}
      if tonumber(tenant[1]) > tonumber(args[i + 1]) then others = missed(id, tonumber(args[i + 1])) end
      found[#found + 1] = {tonumber(tenant[1]), others}
    end
  end
  if #behind > 0 then return {'behind', behind} end
  return {'read', found}
end

local function drop_entries(id, version)
  redis.call('XTRIM', P .. id .. ':log', 'MINID', string.format('%d-0', version + 1))
end

-- tenant, 'made', 'replaced' or 'later', version, epoch, checkpoint. Returns where a tenant is now that was replaced.
local function checkpoint(_, args)
  local id, kind, version = args[1], args[2], tonumber(args[3])
  local found = redis.call('HMGET', P .. id, 'version', 'epoch', 'from')
  local epoch = tonumber(found[2] or 0)
  if kind == 'made' then
    if found[1] then return {} end
    epoch = 1
    redis.call('HSET', P .. id, 'version', version)
    redis.call('ZADD', P .. 'tenants', redis.call('INCR', P .. 'made'), id)
  elseif not found[1] then
    return {}
  elseif kind == 'replaced' then -- whatever others have placed meanwhile came before, and is replaced with the rest
    version, epoch = tonumber(found[1]), epoch + 1
  elseif found[2] ~= args[4] or version <= tonumber(found[3]) then
    return {}
  end
  redis.call('HSET', P .. id, 'epoch', epoch, 'from', version, 'checkpoint', args[5])
  drop_entries(id, version)
  return kind == 'later' and {} or {version, epoch}
end

local function remove(_, args)
  local id = args[1]
  for _, token in ipairs(redis.call('SMEMBERS', P .. id .. ':tokens')) do redis.call('HDEL', P .. 'tokens', token) end
  redis.call('DEL', P .. id, P .. id .. ':log', P .. id .. ':tokens')
  for _, set in ipairs({'tenants', 'pending', 'leases'}) do redis.call('ZREM', P .. set, id) end
  redis.call('SREM', P .. 'frozen', id)
  return 1
end

-- hash of a token, tenant or ''. Returns the tenant that has it, if that is another one.
local function token(_, args)
  local owner = redis.call('HGET', P .. 'tokens', args[1])
  if args[2] == '' then
    redis.call('HDEL', P .. 'tokens', args[1])
    if owner then redis.call('SREM', P .. owner .. ':tokens', args[1]) end
    return ''
  end
  if owner and owner ~= args[2] then return owner end
  redis.call('HSET', P .. 'tokens', args[1], args[2])
  redis.call('SADD', P .. args[2] .. ':tokens', args[1])
  return ''
end

-- tenant, version, '1' if it has deliveries to make, '1' if its clock is frozen, milliseconds of its lease or ''. Who
-- knows a later version has said what is true now.
local function flag(_, args)
  local id, found = args[1], redis.call('HMGET', P .. args[1], 'version', 'flagged')
  if not found[1] or tonumber(found[2] or -1) > tonumber(args[2]) then return 0 end
  redis.call('HSET', P .. id, 'flagged', args[2])
  if args[3] == '1' then
    redis.call('ZADD', P .. 'pending', 'NX', 0, id)
  else
    redis.call('ZREM', P .. 'pending', id)
  end
  redis.call(args[4] == '1' and 'SADD' or 'SREM', P .. 'frozen', id)
  if args[5] == '' then
    redis.call('HDEL', P .. id, 'ttl')
    redis.call('ZREM', P .. 'leases', id)
  else
    redis.call('HSET', P .. id, 'ttl', args[5])
    redis.call('ZADD', P .. 'leases', now() + tonumber(args[5]), id)
  end
  return 1
end

-- a process, milliseconds, and the tenants whose deliveries it makes. Returns those whose deliveries it makes now: the
-- ones that it still had, and some that no living process has.
local function claim(_, args)
  local me, at, mine = args[1], now(), {}
  local till = at + tonumber(args[2])
  for i = 3, #args do
    local id = args[i]
    if redis.call('ZSCORE', P .. 'pending', id) and redis.call('HGET', P .. id, 'owner') == me then
      redis.call('ZADD', P .. 'pending', till, id)
      mine[#mine + 1] = id
    end
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'pending', '-inf', at, 'LIMIT', 0, 100)) do
    redis.call('ZADD', P .. 'pending', till, id)
    redis.call('HSET', P .. id, 'owner', me)
    mine[#mine + 1] = id
  end
  return mine
end

local function ended(_, _)
  return redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now(), 'LIMIT', 0, 100)
end

redis.register_function('vorel_mock_1_place', place)
redis.register_function('vorel_mock_1_read', read)
redis.register_function('vorel_mock_1_checkpoint', checkpoint)
redis.register_function('vorel_mock_1_remove', remove)
redis.register_function('vorel_mock_1_token', token)
redis.register_function('vorel_mock_1_flag', flag)
redis.register_function('vorel_mock_1_claim', claim)
redis.register_function('vorel_mock_1_ended', ended)
