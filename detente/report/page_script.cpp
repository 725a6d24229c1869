// SPDX-License-Identifier: Apache-2.0
#include <detente/report/internal/page_assets.h>

namespace detente::report::internal {
namespace {

constexpr const char* kScript = R"js(
(function(){"use strict";
var NS="http://www.w3.org/2000/svg",live=document.getElementById("live");
function text(v){if(v===null)return "none";var a=Math.abs(v);
  return a!==0&&(a<1e-3||a>=1e5)?v.toExponential(4).replace(/\.?0+e/,"e"):String(+v.toPrecision(5))}
function clamp(i,n){return Math.max(0,Math.min(n-1,i))}
function nearest(n,get,x){var lo=0,hi=n-1;while(hi-lo>1){var m=(lo+hi)>>1;if(get(m)<x)lo=m;else hi=m}
  return Math.abs(get(lo)-x)<=Math.abs(get(hi)-x)?lo:hi}
function along(key,i,n){var leap=Math.max(2,Math.round(n/10));
  switch(key){case"ArrowLeft":return i-1;case"ArrowRight":return i+1;case"PageUp":return i-leap;
    case"PageDown":return i+leap;case"Home":return 0;case"End":return n-1}}

// Each kind: n places; find(x, y), the place under a point, or -1; move(key, i), the place a key
// leads to, undefined for other keys; read(i), the words and where the mark stands.
var kinds={
lines:function(d){
  var all=new Set();d.s.forEach(function(l){l.p.forEach(function(p){all.add(p[0])})});
  var xs=Array.from(all).sort(function(a,b){return a-b}),r=d.r,width=d.x[1]-d.x[0];
  return{n:xs.length,
    find:function(px){if(px<r[0]-6||px>r[0]+r[2]+6)return -1;
      return nearest(xs.length,function(i){return xs[i]},d.x[0]+(px-r[0])/r[2]*width)},
    move:function(key,i){return along(key,i,xs.length)},
    read:function(i){var x=xs[i],rows=[];
      d.s.forEach(function(l){if(!l.p.length)return;
        var p=l.p[nearest(l.p.length,function(j){return l.p[j][0]},x)];
        if(Math.abs(p[0]-x)>width/40)return;
        rows.push({c:l.c,n:l.n,v:text(p[1])+(p.length>2?" ("+text(p[2])+" to "+text(p[3])+")":"")+(p[0]===x?"":" ("+d.l+" "+text(p[0])+")")})});
      var at=r[0]+(x-d.x[0])/width*r[2];
      return{head:(d.l?d.l+" ":"")+text(x),rows:rows,x:at,y:r[1],box:[at,r[1],0,r[3]]}}}},
heat:function(d){
  var R=d.rows.length,C=d.cols.length,r=d.r,w=r[2]/C,h=r[3]/R;
  return{n:R*C,
    find:function(px,py){var c=Math.floor((px-r[0])/w),q=Math.floor((py-r[1])/h);
      return c<0||q<0||c>=C||q>=R?-1:q*C+c},
    move:function(key,i){var c=i%C,q=(i-c)/C;
      if(key==="ArrowUp")return clamp(q-1,R)*C+c;
      if(key==="ArrowDown")return clamp(q+1,R)*C+c;
      var to=along(key,c,C);return to===undefined?to:q*C+clamp(to,C)},
    read:function(i){var c=i%C,q=(i-c)/C,x=r[0]+c*w,y=r[1]+q*h;
      function named(what,name){return(what?what+" ":"")+name}
      return{head:named(d.rt,d.rows[q])+", "+named(d.ct,d.cols[c]),
        rows:[{n:d.vt,v:(d.t?d.t[i]:text(d.v[i]))}],x:x+w,y:y,box:[x,y,w,h]}}}},
marks:function(d){
  return{n:d.m.length,
    find:function(px,py){var best=-1,least=900;
      d.m.forEach(function(m,i){var a=m[0]-px,b=m[1]-py,q=a*a+b*b;if(q<least){least=q;best=i}});return best},
    move:function(key,i){if(key==="ArrowUp")return i-1;if(key==="ArrowDown")return i+1;
      return along(key,i,d.m.length)},
    read:function(i){var m=d.m[i];
      return{head:m[2],rows:[{n:"",v:m[3]}],x:m[0]+8,y:m[1],box:[m[0]-7,m[1]-7,14,14]}}}}
};

function reader(f){
  var plot=f.querySelector(".plot"),s=plot.querySelector("svg"),at=-1,tip=null,mark=null;
  var d=JSON.parse(f.querySelector("script").textContent),kind=kinds[d.k](d);
  function hide(){at=-1;if(tip){tip.remove();mark.remove();tip=mark=null}}
  function show(i){
    var k=kind.read(i),b=s.getBoundingClientRect(),fb=f.getBoundingClientRect();
    var scale=b.width/s.viewBox.baseVal.width;
    if(!tip){tip=document.createElement("div");tip.className="tip";tip.setAttribute("aria-hidden","true");
      f.appendChild(tip);mark=document.createElementNS(NS,"rect");mark.setAttribute("class","mark");s.appendChild(mark)}
    ["x","y","width","height"].forEach(function(name,j){mark.setAttribute(name,k.box[j])});
    tip.textContent="";
    var head=document.createElement("b");head.textContent=k.head;tip.appendChild(head);
    k.rows.forEach(function(row){var line=document.createElement("div");
      if(row.c){var dot=document.createElement("i");dot.setAttribute("style","--c:"+row.c);line.appendChild(dot)}
      line.appendChild(document.createTextNode((row.n?row.n+"  ":"")+row.v));tip.appendChild(line)});
    var x=b.left-fb.left+k.x*scale,left=x+12;
    if(left+tip.offsetWidth>fb.width-4)left=Math.max(4,x-14-tip.offsetWidth-(k.box[2]*scale));
    tip.style.left=left+"px";tip.style.top=(b.top-fb.top+k.y*scale+4)+"px";
    at=i;return k}
  function pointed(e){
    var b=s.getBoundingClientRect(),k=s.viewBox.baseVal.width/b.width;
    var i=kind.n?kind.find((e.clientX-b.left)*k,(e.clientY-b.top)*k):-1;
    if(i<0)hide();else if(i!==at)show(i)}
  s.addEventListener("pointermove",pointed);
  s.addEventListener("pointerdown",pointed);
  s.addEventListener("pointerleave",hide);
  plot.addEventListener("blur",hide);
  plot.addEventListener("keydown",function(e){
    if(e.ctrlKey||e.metaKey||e.altKey)return;
    if(e.key==="Escape"){hide();live.textContent="";return}
    if(!kind.n)return;
    var to=kind.move(e.key,at<0?0:at);
    if(to===undefined)return;
    e.preventDefault();
    // The first key shows where reading begins.
    if(at<0&&e.key.slice(0,5)==="Arrow")to=0;
    var k=show(clamp(to,kind.n));
    live.textContent=k.head+": "+(k.rows.length?k.rows.map(function(row){
      return(row.n?row.n+" ":"")+row.v}).join("; "):"none")});
}
// Figures are prepared when they are first used: opening a long page stays quick.
document.querySelectorAll("figure[data-read]").forEach(function(f){
  var ready=false;
  function prepare(){if(!ready){ready=true;reader(f)}}
  f.addEventListener("pointerover",prepare);f.addEventListener("focusin",prepare);
});
})();
)js";

}  // namespace

const char* page_script() { return kScript; }

}  // namespace detente::report::internal
