# A server behind nginx in a network namespace with few local ports, and users at two addresses of nginx.
# Usage: few_proxy_ports.sh PYTHON NGINX FOLDER PORTS USERS
set -eu
python=$1 nginx=$2 folder=$3 ports=$4 users=$5
ip link set lo up
sysctl -q -w net.ipv4.ip_local_port_range="40000 $((40000 + ports - 1))"
cat >"$folder/nginx.conf" <<CONF
daemon off; master_process off; pid $folder/pid; error_log $folder/error.log;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path $folder/body; proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi; uwsgi_temp_path $folder/uwsgi; scgi_temp_path $folder/scgi;
  server {
    listen 8000;
    location / {
      proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1;
      proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection upgrade;
    }
  }
}
CONF
"$python" -m server --port 8080 --log-level warning >"$folder/server.out" &
while ! grep -q ws:// "$folder/server.out"; do sleep 0.1; done
"$nginx" -c "$folder/nginx.conf" -e "$folder/error.log" &
while [ ! -s "$folder/pid" ]; do sleep 0.1; done
exec "$python" -m locust -f loadtest --headless --host ws://chat.test:8000 --connect-to 127.0.0.1:8000,127.0.0.2:8000 \
  -u "$users" -r 50 -t 10s ChattingUser
