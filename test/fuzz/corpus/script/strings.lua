local print = function(...) return ... end
print(table.concat({1,2,3}, ", "), unpack({1,2,3}))
local s = {5,2,8,1,9,3} table.sort(s) print(table.concat(s," "))
table.sort(s, function(x,y) return x>y end) print(table.concat(s," "))
local co = coroutine.create(function(a,b) print("co",a,b) local c = coroutine.yield(a+b) print("co2",c) local d,e = coroutine.yield(c*2) return d+e end)
