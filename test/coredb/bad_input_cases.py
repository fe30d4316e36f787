"""Bad input and what Redis 7.0 answers: bytes by bytes, and commands by their last reply.

A command's text is split at blanks, and requests at "; "; MAX and MIN stand for the ends of 64 bits.
Other bytes come as lists of arguments. An answer that ends in "..." is a beginning.
"""

ERROR = b"-ERR Protocol error: "
UNANSWERED = b""

# Bytes, all that comes back, and whether the connection is closed then.
PROTOCOL = {
    "a count over 2^31": (b"*2147483648\r\n", ERROR + b"invalid multibulk length\r\n", True),
    "a count of 2^63": (b"*9223372036854775808\r\n", ERROR + b"invalid multibulk length\r\n", True),
    "a count that is no number": (b"*abc\r\n", ERROR + b"invalid multibulk length\r\n", True),
    "a negative count": (b"*-10\r\n", UNANSWERED, False),
    "a null array": (b"*-1\r\n", UNANSWERED, False),
    "an empty array": (b"*0\r\n", UNANSWERED, False),
    "a bulk over 512 MiB": (b"*1\r\n$536870913\r\n", ERROR + b"invalid bulk length\r\n", True),
    "a bulk of 2^63": (b"*1\r\n$9223372036854775808\r\n", ERROR + b"invalid bulk length\r\n", True),
    "a nil bulk": (b"*1\r\n$-1\r\n", ERROR + b"invalid bulk length\r\n", True),
    "a nil bulk as an argument": (b"*2\r\n$3\r\nGET\r\n$-1\r\n", ERROR + b"invalid bulk length\r\n", True),
    "a bulk that is no number": (b"*1\r\n$xx\r\n", ERROR + b"invalid bulk length\r\n", True),
    "an argument without $": (b"*1\r\nfoo\r\n", ERROR + b"expected '$', got 'f'\r\n", True),
    "a second argument without $": (b"*2\r\n$3\r\nGET\r\n+x\r\n", ERROR + b"expected '$', got '+'\r\n", True),
    "64 KiB of inline without a newline": (b"x" * 70000, ERROR + b"too big inline request\r\n", True),
    "64 KiB of a count": (b"*" + b"1" * 70000, ERROR + b"too big mbulk count string\r\n", True),
    "64 KiB of a bulk's length": (b"*1\r\n$" + b"1" * 70000, ERROR + b"too big bulk count string\r\n", True),
    "an unclosed quote": (b"ECHO \"abc\r\n", ERROR + b"unbalanced quotes in request\r\n", True),
    "an unclosed single quote": (b"ECHO 'abc\r\n", ERROR + b"unbalanced quotes in request\r\n", True),
    "more after a quote": (b"ECHO \"a\"b\r\n", ERROR + b"unbalanced quotes in request\r\n", True),
    "POST": (b"POST / HTTP/1.1\r\n", UNANSWERED, True),
    "Host:": (b"Host: localhost\r\n", UNANSWERED, True),
    "post as an array": (b"*2\r\n$4\r\npost\r\n$1\r\n/\r\n", UNANSWERED, True),
    "what follows an error is not run":
        (b"*1\r\n$xx\r\n*3\r\n$3\r\nSET\r\n$3\r\nbad\r\n$1\r\n1\r\n", ERROR + b"invalid bulk length\r\n", True),
    "what precedes an error is answered":
        (b"*1\r\n$4\r\nPING\r\n*1\r\n$xx\r\n", b"+PONG\r\n" + ERROR + b"invalid bulk length\r\n", True),
}

# Requests that do not end: nothing comes back, the connection stays, and its memory is not taken.
UNFINISHED = {
    "a count over 2^20": b"*1048577\r\n",
    "the greatest count": b"*2147483647\r\n",
    "a bulk of 512 MiB": b"*1\r\n$536870912\r\n",
    "half a command": b"*2\r\n$3\r\nGET\r\n$3\r\na",
    "half an inline": b"GET a",
    "an inline with a zero byte": b"GET \0a\r\n",
    "half a count": b"*1",
    "a count without the end of its line": b"*1\r",
}

# The same of a client that has not authenticated, where a password is set.
UNAUTHENTICATED = {
    "eleven arguments": (b"*11\r\n", ERROR + b"unauthenticated multibulk length\r\n", True),
    "a large argument": (b"*1\r\n$16385\r\n", ERROR + b"unauthenticated bulk length\r\n", True),
    "GET": (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b"-NOAUTH Authentication required.\r\n", False),
    "PING": (b"PING\r\n", b"-NOAUTH Authentication required.\r\n", False),
    "a wrong password": (
        b"AUTH x\r\n", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", False),
    "a wrong user": (
        b"AUTH u secret\r\n", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", False),
}

READ_ONLY = "-ERR user_script:1: Attempt to modify a readonly table..."
NO_RANGE = "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
NO_INTEGER = "-ERR value is not an integer or out of range"
NO_BIT_OFFSET = "-ERR bit offset is not an integer or out of range"
NO_BITFIELD = ("-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 "
               "is.")
NO_HLL = "-WRONGTYPE Key is not a valid HyperLogLog string value."
BAD_HLL = "-INVALIDOBJ Corrupted HLL object detected"
BAD_DUMP = "-ERR DUMP payload version or checksum are wrong"
BAD_NAME = "-ERR Client names cannot contain spaces, newlines or special characters."
OVERFLOW = "-ERR increment or decrement would overflow"
ABORTED = "-EXECABORT Transaction discarded because of previous errors."
EXPIRE = "-ERR invalid expire time in '{}' command"
HLL_DENSE = b"HYLL\0" + b"\0" * 11
HLL_SPARSE = b"HYLL\1" + b"\0" * 10 + b"\x80"

COMMANDS = [
    # Numbers at their ends.
    ("SET n MAX; INCR n", OVERFLOW),
    ("SET n MIN; DECR n", OVERFLOW),
    ("SET n 1; DECRBY n MIN", "-ERR decrement would overflow"),
    ("SET n -10; DECRBY n MAX", OVERFLOW),
    ("INCRBY n 9223372036854775808", NO_INTEGER),
    ("SET f 1; INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity"),
    ("INCRBYFLOAT f nan", "-ERR value is not a valid float"),
    ("SET f 1e4932; INCRBYFLOAT f 1e4932", "-ERR increment would produce NaN or Infinity"),
    ("ZADD z inf a; ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)"),
    ("ZADD z nan b", "-ERR value is not a valid float"),
    ("ZADD z inf a; ZADD z INCR -inf a", "-ERR resulting score is not a number (NaN)"),
    ("HSET h f 1; HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity"),
    ("HINCRBYFLOAT h f nan", "-ERR value is not a valid float"),
    ("HSET h f x; HINCRBYFLOAT h f 1", "-ERR hash value is not a float"),
    ([["HSET", "h", "f", " 1"], ["HINCRBYFLOAT", "h", "f", "1"]], "-ERR hash value is not a float"),
    ([["HSET", "h", "f", b"1\0"], ["HINCRBYFLOAT", "h", "f", "1"]], "-ERR hash value is not a float"),
    ("HSET h f MAX; HINCRBY h f 1", OVERFLOW),
    ("MSETNX a 1 a 2; GET a", "$1\r\n2"),
    ("SET a 0; MSETNX b 1 a 1; EXISTS b", ":0"),
    ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command"),
    ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
    # Expiry.
    ("SET k v; EXPIRE k MAX", EXPIRE.format("expire")),
    ("SET k v; EXPIRE k MIN", EXPIRE.format("expire")),
    ("SET k v; PEXPIRE k MAX", EXPIRE.format("pexpire")),
    ("SET k v; EXPIREAT k MAX", EXPIRE.format("expireat")),
    ("SET k v; PEXPIREAT k MIN; EXISTS k", ":0"),
    ("SET k v EX 0", EXPIRE.format("set")),
    ("SET k v PX -1", EXPIRE.format("set")),
    ("SET k v EX MAX", EXPIRE.format("set")),
    ("SETEX k 0 v", EXPIRE.format("setex")),
    ("PSETEX k MAX v", EXPIRE.format("psetex")),
    ("SET k v; GETEX k EX MAX", EXPIRE.format("getex")),
    ("EXPIRE k 1.5", NO_INTEGER),
    # Offsets.
    ("SETRANGE s 536870911 xx", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
    ("SETRANGE s MAX x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
    ("SETRANGE s -1 x", "-ERR offset is out of range"),
    ("SETBIT s 4294967296 1", NO_BIT_OFFSET),
    ("SETBIT s -1 1", NO_BIT_OFFSET),
    ("SETBIT s 1 2", "-ERR bit is not an integer or out of range"),
    ("GETBIT s 4294967296", NO_BIT_OFFSET),
    ("BITFIELD s SET u8 4294967296 1", NO_BIT_OFFSET),
    ("BITFIELD s GET u64 0", NO_BITFIELD),
    ("BITFIELD s GET i65 0", NO_BITFIELD),
    ("BITPOS s 2", "-ERR The bit argument must be 1 or 0."),
    # Cursors and counts.
    ("SCAN abc", "-ERR invalid cursor"),
    ("SCAN 18446744073709551616", "-ERR invalid cursor"),
    ("SCAN 9223372036854775808", "*2\r\n$1\r\n0\r\n*0"),
    ("SCAN 0 COUNT 0", "-ERR syntax error"),
    ("SCAN 0 COUNT x", NO_INTEGER),
    ("SCAN 0 TYPE", "-ERR syntax error"),
    ("HSCAN none x", "-ERR invalid cursor"),
    ("SSCAN none 18446744073709551616", "-ERR invalid cursor"),
    ("SADD s a; SRANDMEMBER s MIN", NO_RANGE),
    ("SADD s a; SRANDMEMBER s MAX", "*1\r\n$1\r\na"),
    ("SPOP s -1", "-ERR value is out of range, must be positive"),
    ("HSET h f v; HRANDFIELD h MIN", NO_RANGE),
    ("HSET h f v; HRANDFIELD h -4611686018427387904 WITHVALUES", "-ERR value is out of range"),
    ("ZADD z 1 a; ZRANDMEMBER z -4611686018427387904 WITHSCORES", "-ERR value is out of range"),
    ("LPOP none -1", "-ERR value is out of range, must be positive"),
    ("LRANGE none MIN MAX", "*0"),
    ("LPOS none a RANK 0", "-ERR RANK can't be zero: use 1 to start..."),
    ("LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0"),
    ("LMPOP MAX a LEFT", "-ERR syntax error"),
    ("SINTERCARD MAX a", "-ERR Number of keys can't be greater than number of args"),
    ("ZUNIONSTORE d 0 a", "-ERR at least 1 input key is needed for 'zunionstore' command"),
    ("ZUNIONSTORE d MAX a", "-ERR syntax error"),
    ("XADD x 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"),
    ("XADD x 18446744073709551616-1 a 1", "-ERR Invalid stream ID specified as stream command argument"),
    ("XADD x 18446744073709551615-18446744073709551615 a 1; XADD x * a 1",
     "-ERR The stream has exhausted the last possible ID, unable to add more items"),
    ("XTRIM x MAXLEN -1", "-ERR The MAXLEN argument must be >= 0."),
    ("XREAD BLOCK -1 STREAMS x 0", "-ERR timeout is negative"),
    ("BLPOP x -1", "-ERR timeout is negative"),
    ("BLPOP x nan", "-ERR timeout is not a float or out of range"),
    ("BLPOP x 9223372036854775808", "-ERR timeout is negative"),
    ("GEOADD g 200 0 a", "-ERR invalid longitude,latitude pair 200.000000,0.000000"),
    ("GEOADD g nan 0 a", "-ERR value is not a valid float"),
    ("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS -1 m", "-ERR radius cannot be negative"),
    ("SELECT 16", "-ERR DB index is out of range"),
    ("SWAPDB 0 99", "-ERR DB index is out of range"),
    ("COPY a b DB 99", "-ERR DB index is out of range"),
    # Bytes made by hand.
    ("RESTORE r 0 junk", BAD_DUMP),
    ([["RESTORE", "r", "0", ""]], BAD_DUMP),
    ([["RESTORE", "r", "0", b"\0\3abc\x0a\0xxxxxxxx"]], BAD_DUMP),
    ("RESTORE r -1 x", "-ERR Invalid TTL value, must be >= 0"),
    ([["SET", "p", b"HYLL" + b"\0" * 12], ["PFCOUNT", "p"]], NO_HLL),
    ([["SET", "p", HLL_DENSE + b"x" * 100], ["PFADD", "p", "a"]], NO_HLL),
    ([["SET", "p", HLL_SPARSE + b"\xff" * 30], ["PFCOUNT", "p"]], BAD_HLL),
    ([["SET", "p", HLL_SPARSE + b"\x7f\xff" * 20000], ["PFMERGE", "q", "p"]], BAD_HLL),
    ("SET p nohll; PFMERGE q p", NO_HLL),
    # Patterns that would cost exponential time, or stack.
    ([["SET", b"a" * 20000, "x"], ["KEYS", b"*a" * 20001]], "*0"),
    ([["SET", b"a" * 20000, "x"], ["KEYS", b"*a" * 9999 + b"*b"]], "*0"),
    ([["SET", b"a" * 20000, "x"], ["KEYS", b"*" * 20000]], "*1\r\n$20000\r\n" + "a" * 20000),
    ([["SET", b"a" * 20000, "x"], ["SCAN", "0", "MATCH", b"a*" * 20000 + b"b", "COUNT", "1000"]],
     "*2\r\n$1\r\n0\r\n*0"),
    ([["SET", b"a" * 20000, "x"], ["KEYS", b"a" * 19999 + b"["]], "*0"),
    # Which arguments are keys.
    ("COMMAND GETKEYS ZUNIONSTORE d MAX k", "-ERR Invalid arguments specified for command"),
    ("COMMAND GETKEYS XREAD STREAMS a", "-ERR Invalid number of arguments specified for command"),
    ("COMMAND GETKEYS GEORADIUS k 1 2 3 m STORE", "*1\r\n$1\r\nk"),
    # Scripts.
    ([["EVAL", "return 1", "-1"]], "-ERR Number of keys can't be negative"),
    ([["EVAL", "return 1", "5", "a"]], "-ERR Number of keys can't be greater than number of args"),
    ([["EVAL", "return unpack({}, 1, 8000000)", "0"]], "-ERR user_script:1: too many results to unpack..."),
    ("EVAL x=1 0", READ_ONLY),
    ("EVAL _G.x=1 0", READ_ONLY),
    ("EVALSHA ffffffffffffffffffffffffffffffffffffffff 0", "-NOSCRIPT No matching script. Please use EVAL."),
    ([["EVAL", 'return redis.error_reply("a\\r\\n+b\\r\\n")', "0"]], "-ERR a  +b"),
    ([["EVAL", 'return {err="A\\nB"}', "0"]], "-A B"),
    ([["EVAL", 'return {ok="A\\r\\nB"}', "0"]], "+A  B"),
    ([["EVAL", "return bit.tohex(1, -2147483648)", "0"]], "$8\r\n00000001"),
    ([["EVAL", 'return cjson.decode(string.rep("[", 100000))', "0"]],
     "-ERR user_script:1: Found too many nested data structures (1001)..."),
    ([["EVAL", 'return cmsgpack.unpack("\\220\\255\\255")', "0"]],
     "-ERR user_script:1: Missing bytes in input...."),
    ([["EVAL", "return cjson.encode(setmetatable({}, {__index=function() return 1 end}))", "0"]], "$2\r\n{}"),
    # The connection's own.
    ("HELLO 4", "-NOPROTO unsupported protocol version"),
    ("HELLO abc", "-ERR Protocol version is not an integer or out of range"),
    ("HELLO 3 AUTH x", "-ERR Syntax error in HELLO option 'AUTH'"),
    ([["HELLO", "3", "SETNAME", "a b"]], BAD_NAME),
    ([["CLIENT", "SETNAME", "a\nb"]], BAD_NAME),
    ("CLIENT KILL ID x", "-ERR client-id should be greater than 0"),
    ("CLIENT UNBLOCK x", NO_INTEGER),
    ("MULTI; NOSUCH; EXEC", ABORTED),
    ("MULTI; GET; EXEC", ABORTED),
    ("EXEC", "-ERR EXEC without MULTI"),
    ("DISCARD", "-ERR DISCARD without MULTI"),
]
