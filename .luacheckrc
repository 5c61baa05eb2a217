-- What the interpreter inside Redis and Valkey offers: Lua 5.1 without the ways out of it.
stds.redis = { read_globals = { "redis", "KEYS", "ARGV", "cjson", "cmsgpack", "struct", "bit" } }
std = "lua51+redis"
not_globals = {
  "debug", "dofile", "getfenv", "io", "load", "loadfile", "module", "newproxy", "os", "package", "print", "require",
  "setfenv",
}

-- The head of a script lists its keys in one line, however long.
max_line_length = 120
max_comment_line_length = false
