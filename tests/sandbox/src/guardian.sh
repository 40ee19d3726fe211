# The parent of every server of one cluster. It starts and signals them as it is told on its input,
# answers each line with one line, and when the input ends, for whatever reason, kills them all
# and removes the directory of the cluster.
#
# usage: sh -c "$(cat guardian.sh)" guardian DIRECTORY SERVER SENTINEL
dir=$1 server=$2 sentinel=$3

# An interrupt at the terminal is for the tests; the guardian goes when they are gone.
trap '' HUP INT TERM
umask 077
mkdir "$dir" || exit 1
exec 2>>"$dir/guardian.log"
echo "ok $$"

pids=
while read -r verb what; do
    case $verb in
    node)
        "$server" "$dir/$what.conf" </dev/null >>"$dir/$what.log" 2>&1 &
        pids="$pids $!"
        echo "ok $!"
        ;;
    sentinel)
        "$sentinel" "$dir/$what.conf" --sentinel </dev/null >>"$dir/$what.log" 2>&1 &
        pids="$pids $!"
        echo "ok $!"
        ;;
    KILL)
        kill -KILL "$what"
        wait "$what"
        rest=
        for pid in $pids; do
            [ "$pid" = "$what" ] || rest="$rest $pid"
        done
        pids=$rest
        echo "ok $what"
        ;;
    STOP | CONT)
        if kill -"$verb" "$what"; then echo "ok $what"; else echo "no such process"; fi
        ;;
    *)
        echo "unknown verb $verb"
        ;;
    esac
done

for pid in $pids; do
    kill -KILL "$pid"
done
wait
rm -rf "$dir"
