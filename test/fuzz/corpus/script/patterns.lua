return ('key = value'):gsub('(%w+)%s*=%s*(%w+)', '%2=%1') .. ('f(a(b)c)'):match('%b()') .. ('THE fox'):find('%f[%a]%a-x$', 2)
