local t = {5, 2, 8, 1} table.sort(t, function(a, b) return a > b end)
return table.concat(t, ' ') .. #t .. tostring(next({x = 1}))
