local print = function(...) return ... end
local mt = {__index=function(t,k) return k.."!" end, __add=function(a,b) return "add" end, __call=function(self, x) return "called", x end, __eq=function() return true end, __lt=function() return true end, __concat=function(a,b) return "cat" end, __tostring=function() return "TS" end, __unm=function() return "neg" end, __newindex=function(t,k,v) rawset(t,k,v.."?") end}
local o, o2 = setmetatable({},mt), setmetatable({},mt)
print(o.foo, o+1, 1+o, o(5), o==o2, o<o2, o<=o2, o.."x", "x"..o, tostring(o), -o)
o.z = 1 print(rawget(o,"z"))
