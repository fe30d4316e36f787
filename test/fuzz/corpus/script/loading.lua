local print = function(...) return ... end
print(next({}), rawequal("a","a"), rawget({5},1))
print(string.byte("ABC",1,-1), ("x"):rep(3), ("abc"):upper(), ("abc"):reverse(), ("hello"):sub(2,-2), ("hello"):sub(-3))
print(xpcall(function() error("E") end, function(m) return "H:"..m end))
print(pcall(function() local function r() return 1 + r() end return r() end))
local function tail(n) if n == 0 then return "done" end return tail(n-1) end print(tail(100000))
