"""Scripts: what Lua makes of replies and values, and errors on the way; by source and by digest."""

from snippets_lua import SNIPPETS

# Each takes any number of keys and arguments.
SCRIPTS = [
    b"return 1", b"return 3.99", b"return -3.99", b"return 'text'", b"return true", b"return false",
    b"return nil", b"return {}",
    b"return {1, 2, {3, {'four'}}, false, 5}", b"return {1, nil, 3}", b"return {ok='FINE'}",
    b"return {err='ERR mine'}", b"return {err='mine'}",
    b"return {1.5, '1.5', true, 2^40}", b"return redis.status_reply('OK then')",
    b"return redis.error_reply('BAD thing')", b"return {a=1}",
    b"return {double=1.5}", b"return {map={a=1}}", b"return {set={a=true}}", b"return KEYS", b"return ARGV",
    b"return {#KEYS, #ARGV}",
    b"return redis.call('GET', KEYS[1])", b"return redis.call('SET', KEYS[1], ARGV[1])",
    b"return redis.call('INCR', KEYS[1])",
    b"return redis.pcall('INCR', KEYS[1])", b"return redis.call('HGETALL', KEYS[1])",
    b"return redis.call('LRANGE', KEYS[1], 0, -1)",
    b"return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')", b"return redis.call('TYPE', KEYS[1])",
    b"return redis.call('ZSCORE', KEYS[1], ARGV[1])",
    b"return type(redis.call('GET', KEYS[1]))", b"return type(redis.call('TYPE', KEYS[1]))",
    b"return redis.call('TYPE', KEYS[1]).ok",
    b"local r = redis.pcall('LPUSH', KEYS[1], ARGV[1]) if type(r) == 'table' then return r.err end return r",
    b"redis.call('SET', KEYS[1], 'before') return redis.call('LPUSH', KEYS[1], 'x')", b"error('oops')",
    b"error({err='ERR thrown'})", b"error()",
    b"return redis.call('NOSUCH')", b"return redis.call('GET')", b"return redis.call()",
    b"return redis.call('SET', KEYS[1], {})", b"return redis.pcall('GET', 'a', 'b')",
    b"return redis.call('PING')", b"return redis.call('ECHO', ARGV[1])", b"return redis.call('MULTI')",
    b"return redis.call('BLPOP', KEYS[1], 0)",
    b"return redis.call('EVAL', 'return 1', 0)", b"return redis.call('SUBSCRIBE', 'x')",
    b"return redis.sha1hex(ARGV[1])",
    b"x = 1", b"return x", b"return nosuch()", b"redis = nil", b"return #", b"for i",
    b"return tostring(1e15)", b"return tostring(2^53)", b"return tostring(0.1)",
    b"return tonumber(ARGV[1])", b"return ARGV[1] + 1", b"return ARGV[1] .. 'x'",
    b"return string.format('%5.2f|%d|%s|%q', 1.005, 42, ARGV[1], 'a\\nb')",
    b"return string.rep('ab', 3, ',')", b"return ('hello'):upper():reverse()",
    b"return {string.find('hello world', 'o w')}", b"return string.gsub('aXbX', 'X', '%%')",
    b"return table.concat({1, 2, 3}, '-')", b"local t = {5, 2, 8, 1} table.sort(t) return t",
    b"return {math.floor(2.7), math.max(1, 9, 3), math.abs(-4)}",
    b"return {unpack({1, 2, 3})}", b"return select('#', unpack({}, 1, 100))",
    b"return cjson.encode({1, 2, 'three', true})", b"return cjson.encode({a=1})",
    b"return cjson.encode({})", b"return cjson.decode('[1, 2.5, \"x\", null, {\"a\": [true]}]')",
    b"return cjson.decode('{\"a\": 1}').a", b"return cjson.decode(ARGV[1])",
    b"return cjson.encode(1e20)", b"return cjson.encode(ARGV[1])", b"return cmsgpack.pack({1, 'a', {b=2}})",
    b"return cmsgpack.unpack(cmsgpack.pack({1, 'x', 3.5, true}))",
    b"return cmsgpack.pack(1, -1, 300, 70000, 1.5, 'str', true, nil)", b"return cmsgpack.unpack(ARGV[1])",
    b"return struct.pack('>I2i4', 258, -1)",
    b"return struct.pack('<dsBh', 1.5, 'ab', 7, -2)", b"return {struct.unpack('>I2I1', '\\1\\2\\3')}",
    b"return struct.size('>I4I2')", b"return struct.pack('x9', 1)",
    b"return bit.band(255, 15)",
    b"return {bit.bor(1, 6), bit.bxor(5, 3), bit.bnot(0), bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-16, 2), bit.rol(1, 33), bit.ror(1, 1)}",
    b"return bit.tohex(255)", b"return bit.tohex(65535, -4)", b"return bit.tobit(2^32 + 5)",
    b"return pcall(function() error('in') end)",
    b"local ok, e = pcall(redis.call, 'INCR', KEYS[1]) return type(e)",
    b"return redis.log(redis.LOG_NOTICE, 'x')", b"return redis.setresp(3)",
    b"redis.setresp(3) return redis.call('HGETALL', KEYS[1])",
    b"redis.setresp(3) return redis.call('ZSCORE', KEYS[1], ARGV[1])",
    b"redis.setresp(3) return redis.call('SMISMEMBER', KEYS[1], ARGV[1])", b"redis.setresp(4)",
    b"return redis.replicate_commands()",
    b"redis.set_repl(redis.REPL_ALL) return 1", b"return redis.breakpoint()",
    b"return redis.REDIS_VERSION_NUM ~= nil", b"#!lua\nreturn 1",
    b"#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 'x')",
    b"#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])", b"#!lua flags=bad\nreturn 1",
    b"#!python\nreturn 1", b"#!lua flags=no-writes,allow-stale\nreturn KEYS[1]",
    b"local r = {} for i = 1, 10 do r[i] = i * i end return r", b"return {KEYS[1], ARGV[1], KEYS[2]}",
    b"return redis.call('SET', KEYS[1], 1.5)", b"return redis.call('SET', KEYS[1], 10)",
    b"return redis.call('APPEND', KEYS[1], 123456789012345)",
    b"return redis.call('INCRBYFLOAT', KEYS[1], '0.1')",
    b"for i = 1, 20 do redis.call('RPUSH', KEYS[1], i) end return redis.call('LLEN', KEYS[1])",
    b"return redis.call('DEL', unpack(KEYS))", b"return #redis.call('SCAN', 0)",
    b"return loadstring('return 7')()", b"return _G == nil", b"return getmetatable('').__index == string",
    b"return setmetatable({}, {__index = 1})",
    b"return rawget(_G, 'redis') ~= nil", b"_G.x = 1", b"rawset(_G, 'x', 1)", b"return os.clock() >= 0",
    b"return os.time", b"return io", b"return require", b"return dofile", b"return print",
    b"return {1, 2, error_reply = 1}", b"return redis.error_reply('with\\r\\nline')",
    b"return {err='with\\r\\nline'}", b"return redis.status_reply('with\\r\\nline')", b"return ''",
    b"return '\\0\\255'",
    b"return redis.call('KEYS', 'nothing*')",
    b"return redis.call('XADD', KEYS[1], '99999999999999-*', 'f', 'v') ~= nil",
    b"return redis.call('OBJECT', 'ENCODING', KEYS[1])",
]


def source(g):
    return g.pick(SNIPPETS if g.rand() < 0.3 else SCRIPTS)


def arguments(g):
    keys = [g.any_key() for _ in range(g.one(1, 1, 1, 2, 0))]
    count = b"%d" % len(keys) if g.rand() < 0.97 else g.one(b"-1", b"9", b"abc", b"")
    return (count, *keys, *g.values(0, 2))


def eval_command(g):
    return (g.one(b"EVAL", b"EVAL", b"EVAL", b"EVAL_RO"), source(g), *arguments(g))


def by_digest(g):
    """Loads and calls; the digest is the same on both."""
    import hashlib
    text = source(g)
    digest = hashlib.sha1(text).hexdigest().encode()
    return g.step((b"SCRIPT", b"LOAD", text), (g.one(b"EVALSHA", b"EVALSHA_RO"), digest, *arguments(g)),
                  (b"SCRIPT", b"EXISTS", digest, b"x"))


LIBRARY = b"""#!lua name=%s
local function first(keys, args) return args[1] end
redis.register_function('first', first)
redis.register_function('set', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
redis.register_function{function_name='get', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}
"""
OTHER_LIBRARY = b"#!lua name=other\nredis.register_function('first', function() return 'other' end)"
BAD_LIBRARIES = [b"", b"return 1", b"#!lua\nreturn 1", b"#!lua name=bad-name\nreturn 1",
                 b"#!lua name=x\nreturn 1", b"#!lua name=x\nfoo(", b"#!js name=x\n",
                 b"#!lua name=x\nredis.register_function('f', 1)", b"#!lua name=x\nredis.call('GET', 'a')",
                 b"#!lua name=x bad=y\n", b"#!lua name=x name=y\n",
                 b"#!lua name=x\nredis.register_function('a b', function() end)"]


def function_command(g):
    which = g.below(8)
    if which == 0:
        return (b"FUNCTION", b"LOAD", *g.maybe(0.6, b"REPLACE"),
                g.one(LIBRARY % b"lib", LIBRARY % b"lib", OTHER_LIBRARY))
    if which == 1:
        return (b"FUNCTION", b"LOAD", *g.maybe(0.5, b"REPLACE"), g.pick(BAD_LIBRARIES))
    if which == 2:
        return (b"FUNCTION", b"DELETE", g.one(b"lib", b"nosuch",
                                              b"other")) if g.rand() < 0.3 else (b"FUNCTION", b"LIST",
                                                                                 b"LIBRARYNAME", g.one(b"lib", b"nosuch"))
    return (g.one(b"FCALL", b"FCALL", b"FCALL_RO"), g.one(b"first", b"set", b"get", b"nosuch"),
            *arguments(g))


def known_digest(g):
    """A digest in small or capital letters, of a script that both have."""
    digest = g.one(b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db", b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB")
    return g.step((b"SCRIPT", b"LOAD", b"return 1"), (b"EVALSHA", digest, *arguments(g)))


SCRIPT = [
    (20, eval_command),
    (3, by_digest),
    (1, known_digest),
    (1, lambda g: (b"EVALSHA", g.one(b"f" * 40, b"x"), *arguments(g))),
    (1, lambda g: (b"SCRIPT", b"FLUSH", *g.maybe(0.7, g.one(b"ASYNC", b"SYNC", b"bad"))) if g.rand() < 0.2
     else (b"SCRIPT", b"EXISTS", b"f" * 40)),
    (1, lambda g: (b"SCRIPT", b"LOAD", source(g))),
]

FUNCTION = [
    (8, function_command),
    (1, lambda g: (b"FUNCTION", b"FLUSH") if g.rand() < 0.1 else (b"FUNCTION", b"LIST")),
]
