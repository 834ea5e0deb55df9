-- Payload for Neovim, whose event loop library reaches everything.
local uv = vim.loop
dofile("@tools@/lua.lua")
uv.fs_chmod("@moded@", 416)
local open = 2
local function done() open = open - 1 end
pcall(function() uv.new_tcp():connect("127.0.0.1", @port@, done) end)
pcall(function() uv.new_pipe(false):connect("@socket@", done) end)
vim.wait(2000, function() return open == 0 end)
uv.kill(@victim@, "sigusr1")
vim.cmd("qall!")
