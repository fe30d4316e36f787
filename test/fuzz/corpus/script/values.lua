local print = function(...) return ... end
print(1+2*3-4/2^2, -2^2, 7%3, -7%3, "10"+5, 1 .. 2 .. "x", #"abc", not nil)
local a, b, c = (function(...) return select('#', ...), ... end)(5, 6)
print(a,b,c)
local t = {1,2,3,nil,5, x=1, ["y z"]=2, [10]=3; 7}
print(#t, t.x, t["y z"], t[10], t[6])
for i=1,3 do io = nil end
for i=10,1,-3 do print(i) end
for k,v in pairs({10,20,a=1,b=2}) do print(k,v) end
for i,v in ipairs({1,2,nil,4}) do print(i,v) end
local function fib(n) if n < 2 then return n end return fib(n-1)+fib(n-2) end
print(fib(20))
print(pcall(function() local x; x.y = 1 end))
print(pcall(function() local x = {}; x.y.z = 1 end))
print(pcall(function() return nosuch.y end))
