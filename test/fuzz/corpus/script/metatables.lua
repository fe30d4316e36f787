local print = function(...) return ... end
local fns = {} for i=1,3 do fns[i] = function() i = i + 1 return i end end
print(fns[1](), fns[1](), fns[2]())
local function outer() local x = 0 return function() x = x + 1 return x end, function() return x end end
