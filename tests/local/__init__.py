"""The local cloud: ministack with a door for events, an ECS task life cycle, and the demo story.

`cloud` starts and stops it, `ecs` drives it, `story` plays `make demo` on it. The modules that
run inside the ministack process are `server`, `pins`, `door`, `recorder`, `faults`, `lambdas`,
`lifecycle`, `scheduler`, `mends` and `documents`.
"""
