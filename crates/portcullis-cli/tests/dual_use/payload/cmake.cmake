# Payload in CMake's own language.
math(EXPR answer "@nonce@ * 3 + 1")
file(WRITE "@grant@/gain.run" "${answer}")
execute_process(COMMAND /usr/bin/id OUTPUT_FILE "@grant@/gain.id")
file(WRITE "@grant@/tried" "done\n")
# Each of these ends the script where it is refused, so each is a script of its own, run by `include`'s caller.
if(EXISTS "@secret@")
  file(READ "@secret@" secret)
  file(WRITE "@grant@/gain.secret" "${secret}")
endif()
file(CHMOD "@moded@" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
file(WRITE "@target@" "@nonce@")
