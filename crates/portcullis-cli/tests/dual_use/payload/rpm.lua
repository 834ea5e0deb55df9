-- Payload for the Lua inside rpm.
dofile("@tools@/lua.lua")
posix.chmod("@moded@", "rw-r-----")
posix.kill(@victim@, 10)
