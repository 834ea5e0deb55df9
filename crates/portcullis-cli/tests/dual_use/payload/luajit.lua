-- Payload for LuaJIT, whose foreign functions reach the whole C library.
dofile("@tools@/lua.lua")
local ffi = require("ffi")
ffi.cdef [[
int chmod(const char *path, unsigned mode);
int kill(int pid, int signal);
int socket(int family, int type, int protocol);
int connect(int fd, const void *address, unsigned size);
]]
ffi.C.chmod("@moded@", 416)
local function dial(family, bytes)
  local address = string.char(family, 0) .. bytes
  ffi.C.connect(ffi.C.socket(family, 1, 0), address, #address)
end
dial(2, string.char(math.floor(@port@ / 256), @port@ % 256, 127, 0, 0, 1) .. string.rep("\0", 8))
dial(1, "@socket@" .. "\0")
ffi.C.kill(@victim@, 10)
