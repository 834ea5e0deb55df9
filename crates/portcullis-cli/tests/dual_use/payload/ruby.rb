# Payload in Ruby, also for the programs that evaluate Ruby.
def attempt
  yield
rescue StandardError, LoadError
  nil
end

def keep(name, data)
  File.open("@grant@/#{name}", "ab") { |file| file.write(data) }
end

keep("gain.run", @nonce@ * 3 + 1)
attempt { keep("gain.secret", File.binread("@secret@")) }
attempt { keep("gain.environ", File.binread("@environ@")) }
attempt { File.write("@target@", "@nonce@") }
attempt { File.chmod(0o640, "@moded@") }
attempt do
  require "socket"
  attempt { TCPSocket.new("127.0.0.1", @port@).close }
  attempt { UNIXSocket.new("@socket@").close }
end
attempt { keep("gain.id", IO.popen(["/usr/bin/id"], &:read)) }
attempt { Process.kill("USR1", @victim@) }
keep("tried", "done\n")
