# Run a program as if in the foreground, and clean up after it. Sourced.
# shellcheck shell=bash

# in_foreground COMMAND...: run it, pass signals on, return its exit status.
# It gets a process group of its own: else the terminal's Ctrl-C would reach it beside the signal that
# is passed on, and rgate stops at once, with requests under way, on the second.
in_foreground() {
  set -m
  "$@" &
  set +m
  local child=$! status=0
  # shellcheck disable=SC2064 # the present value is meant
  {
    trap "kill -INT $child 2>/dev/null" INT
    trap "kill -TERM $child 2>/dev/null" TERM HUP
  }
  # A signal ends `wait` before the program has ended: wait again.
  while :; do
    status=0
    wait "$child" || status=$?
    kill -0 "$child" 2>/dev/null || break
  done
  trap - INT TERM HUP
  return "$status"
}
