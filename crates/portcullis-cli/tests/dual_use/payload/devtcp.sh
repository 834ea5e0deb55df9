# Payload for shells that open `/dev/tcp`.
. @tools@/posix.sh
(: <>/dev/tcp/127.0.0.1/@port@)
echo done >>@grant@/tried
