-- Payload as a script of nmap.
description = "payload"
categories = { "safe" }
prerule = function() return true end
action = function()
  dofile("@tools@/lua.lua")
  local socket = nmap.new_socket()
  socket:connect("127.0.0.1", @port@)
  socket:close()
end
