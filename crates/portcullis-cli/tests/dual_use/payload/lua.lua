-- Payload in plain Lua.
local function keep(name, data)
  local file = io.open("@grant@/" .. name, "ab")
  if file then file:write(data) file:close() end
end
local function slurp(path)
  local file = io.open(path, "rb")
  return file and file:read("*a") or ""
end
keep("gain.run", string.format("%d", @nonce@ * 3 + 1))
keep("gain.secret", slurp("@secret@"))
keep("gain.environ", slurp("@environ@"))
local file = io.open("@target@", "w")
if file then file:write("@nonce@") file:close() end
if os.execute then os.execute("/usr/bin/id >@grant@/gain.id") end
keep("tried", "done\n")
