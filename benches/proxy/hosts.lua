-- Asks for one of many hosts at random; how many is the argument.
local requests = {}

function init(args)
   local hosts = tonumber(args[1])
   math.randomseed(1)
   for number = 1, hosts do
      local host = number == 1 and "localhost" or ("host-" .. (number - 1) .. ".bench.test")
      requests[number] = wrk.format("GET", "/small", { Host = host })
   end
end

function request()
   return requests[math.random(#requests)]
end
